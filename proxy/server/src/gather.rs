//! Writes of several pieces. The kernel takes one piece more cheaply than a list of pieces, so small ones are put
//! together first.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// How many bytes are put together at most: the head of a message with a small body.
const SMALL: usize = 1024;

/// Writes the pieces, or the beginning of them; gives how many bytes were written.
pub(crate) fn poll_write<T: AsyncWrite>(
    io: Pin<&mut T>,
    context: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if let [piece] = pieces {
        return io.poll_write(context, piece);
    }
    let mut together = [0; SMALL];
    let mut length = 0;
    for piece in pieces {
        match together.get_mut(length..length + piece.len()) {
            Some(room) => room.copy_from_slice(piece),
            None => return io.poll_write_vectored(context, pieces),
        }
        length += piece.len();
    }
    io.poll_write(context, &together[..length])
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[track_caller]
    fn check(pieces: &[&[u8]]) {
        let whole = pieces.concat();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(async {
            let (mut near, mut far) = tokio::io::duplex(1 << 20);
            let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let written = poll_fn(|context| poll_write(Pin::new(&mut near), context, &slices)).await;
            drop(near);
            let mut read = Vec::new();
            far.read_to_end(&mut read).await.unwrap();
            assert_eq!(written.unwrap(), read.len());
            read
        });
        assert!(!read.is_empty() || whole.is_empty());
        assert!(whole.starts_with(&read), "{pieces:?}");
        if whole.len() <= SMALL {
            assert_eq!(read.len(), whole.len());
        }
    }

    #[test]
    fn pieces_are_written_in_order() {
        check(&[]);
        check(&[b"a"]);
        check(&[b"ab", b"", b"cde"]);
        check(&[&[b'x'; 1000], &[b'y'; 24]]);
        check(&[&[b'x'; 1000], &[b'y'; 25]]);
        check(&[&[b'x'; 5000], b"z"]);
    }
}
