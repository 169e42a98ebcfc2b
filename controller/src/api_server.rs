//! The way to the API server, whose name is looked up without the C library: a static program has no use for that.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fairway_server::names::Names;
use http_body_util::BodyExt;
use hyper::{Request, Response};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt, DynBody};
use tower::util::{BoxService, ServiceExt, option_layer};
use tower::{BoxError, Layer, Service};

/// How requests get there.
type Way = BoxService<Request<Body>, Response<Box<DynBody>>, BoxError>;

/// A client as kube makes one, but for the names, and for retries, which are up to whoever asks.
pub(crate) fn builder(config: Config) -> Result<ClientBuilder<Way>, kube::Error> {
    if let Some(proxy_url) = config.proxy_url {
        return Err(kube::Error::ProxyProtocolUnsupported {
            proxy_url: Box::new(proxy_url),
        });
    }
    let mut connector = HttpConnector::new_with_resolver(Lookup::default());
    connector.enforce_http(false);
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(connector)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let client: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new()).build(connector);
    // What adds the token fails in more ways than the connection.
    let client = client.map_err(BoxError::from);
    let client = config.extra_headers_layer()?.layer(client);
    let client = option_layer(config.auth_layer()?).layer(client);
    let service = config
        .base_uri_layer()
        .layer(client)
        .map_response(|response| response.map(|body| Box::new(body.map_err(BoxError::from)) as Box<DynBody>));
    Ok(ClientBuilder::new(
        BoxService::new(service),
        config.default_namespace,
    ))
}

/// Looks names up for connections.
#[derive(Clone, Default)]
struct Lookup(Arc<Names>);

impl Service<Name> for Lookup {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let names = Arc::clone(&self.0);
        Box::pin(async move {
            let found = names.addresses(name.as_str()).await?;
            // The port comes with the connection.
            let addresses: Vec<SocketAddr> = found.into_iter().map(|ip| (ip, 0).into()).collect();
            Ok(addresses.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_becomes_addresses() {
        let found = Lookup::default()
            .call("localhost".parse().unwrap())
            .await
            .unwrap();
        assert_eq!(
            found.collect::<Vec<_>>(),
            ["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()]
        );
        assert!(Lookup::default().call("no host".parse().unwrap()).await.is_err());
    }

    #[tokio::test]
    async fn a_proxy_is_refused_and_not_passed_by() {
        let mut config = Config::new("https://192.0.2.1".parse().unwrap());
        assert!(builder(config.clone()).is_ok());
        config.proxy_url = Some("http://192.0.2.2".parse().unwrap());
        let error = builder(config).err().unwrap().to_string();
        assert!(error.contains("192.0.2.2"), "{error}");
    }
}
