//! WebSocket frames as far as an echo needs them: one short, unfragmented message.

use std::io::{Error, ErrorKind, Result};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A frame's payload, by its meaning.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Text(Vec<u8>),
    Close,
}

/// Whether a frame is masked: those of a client are.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Client,
    Server,
}

const MASK: [u8; 4] = [0x3a, 0x91, 0x5c, 0x07];

pub(super) async fn write(to: &mut (impl AsyncWrite + Unpin), frame: &Frame, from: Side) -> Result<()> {
    let (code, payload) = match frame {
        Frame::Text(text) => (0x81, text.as_slice()),
        Frame::Close => (0x88, &[][..]),
    };
    let length = u8::try_from(payload.len())
        .ok()
        .filter(|length| *length < 126)
        .ok_or(ErrorKind::InvalidInput)?;
    let mut bytes = vec![code];
    match from {
        Side::Server => {
            bytes.push(length);
            bytes.extend(payload);
        }
        Side::Client => {
            bytes.push(0x80 | length);
            bytes.extend(MASK);
            bytes.extend(
                payload
                    .iter()
                    .zip(MASK.iter().cycle())
                    .map(|(byte, mask)| byte ^ mask),
            );
        }
    }
    to.write_all(&bytes).await?;
    to.flush().await
}

pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Frame> {
    let mut head = [0; 2];
    from.read_exact(&mut head).await?;
    let mut mask = [0; 4];
    if head[1] & 0x80 != 0 {
        from.read_exact(&mut mask).await?;
    }
    let length = head[1] & 0x7f;
    if length > 125 {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "a frame longer than any that was sent",
        ));
    }
    let mut payload = vec![0; usize::from(length)];
    from.read_exact(&mut payload).await?;
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    match head[0] {
        0x81 => Ok(Frame::Text(payload)),
        0x88 => Ok(Frame::Close),
        other => Err(Error::new(
            ErrorKind::InvalidData,
            format!("a frame that begins with {other:#x}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(frame: &Frame, from: Side) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut wire = Vec::new();
            write(&mut wire, frame, from).await.expect("it is written");
            assert_eq!(read(&mut wire.as_slice()).await.expect("it is read"), *frame);
            assert!(read(&mut &wire[..1]).await.is_err());
        });
    }

    #[test]
    fn frames_survive_the_way() {
        check(&Frame::Text(b"12345".to_vec()), Side::Client);
        check(&Frame::Text(b"12345".to_vec()), Side::Server);
        check(&Frame::Close, Side::Client);
        check(&Frame::Close, Side::Server);
    }
}
