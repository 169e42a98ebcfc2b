//! All sockets of the data plane.
