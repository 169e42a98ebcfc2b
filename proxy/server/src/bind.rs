//! Listening sockets: one for each traffic thread on the same address, between which the kernel spreads connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// How many connections may wait to be accepted on one socket.
const BACKLOG: i32 = 4096;

/// The time between TCP keep-alive probes, and before the first one.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Opens `count` listeners on one address. All have the same port, also if `address` asks for any free one.
pub(crate) fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let address = usable(address)?;
    let mut listeners = Vec::with_capacity(count);
    let mut wanted = address;
    for _ in 0..count {
        let socket = open(wanted)?;
        socket.set_reuse_port(true)?;
        socket.bind(&wanted.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        wanted = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// The address, after making sure that nobody else listens there: sockets that share a port would not notice.
fn usable(address: SocketAddr) -> io::Result<SocketAddr> {
    let claim = |address: SocketAddr| open(address)?.bind(&address.into());
    match claim(address) {
        // Without IPv6, all addresses are those of IPv4.
        Err(error) if address.ip().is_unspecified() && address.is_ipv6() && lacks_ipv6(&error) => {
            let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
            claim(address).map(|()| address)
        }
        result => result.map(|()| address),
    }
}

fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    ) || error.raw_os_error() == Some(97)
}

/// A socket with the options that accepted connections inherit.
fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_listeners_share_the_port() {
        let listeners = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let ports: Vec<u16> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        assert_eq!(ports, [ports[0]; 3]);
    }

    #[test]
    fn an_address_in_use_is_refused_even_among_ourselves() {
        let first = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let error = bind(first[0].local_addr().unwrap(), 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn the_wildcard_takes_ipv4() {
        let listeners = bind("[::]:0".parse().unwrap(), 1).unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
}
