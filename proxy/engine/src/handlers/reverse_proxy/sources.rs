//! Where the upstreams of a handler come from: its config names them, or the Services whose endpoints they are.

use std::sync::Arc;

use super::config::{Config, DynamicUpstreams, PassiveHealthChecks};
use super::health::Check;
use super::lane::{Group, GroupKey, Settings};
use super::pool::{Pool, Upstreams};
use super::registry::EndpointKey;
use super::selection::{Policy, Selection};
use super::transport::{Transport, UpstreamTls};
use super::upstreams::{Address, FailurePolicy, MAX_FAILS, Upstream};
use super::{choose_transport, hash, json};
use crate::cluster::ServicePort;
use crate::compile::{CompileError, Compiler};

/// How many Services one handler may name.
pub(super) const MAX_SERVICES: usize = 256;

impl Config {
    /// The upstreams, and the health checks of those that are fixed.
    pub(super) fn compile_upstreams(
        &self,
        transport: &Arc<Transport>,
        plain: Option<&(Box<[u16]>, Arc<Transport>)>,
        compiler: &mut Compiler<'_>,
    ) -> Result<(Upstreams, Option<Check>), CompileError> {
        if let Some(source) = &self.dynamic_upstreams {
            let services = self.services(source)?;
            let lane = self.compile_lane(services, transport, plain, compiler)?;
            return Ok((lane, None));
        }
        let pool = self.compile_pool(compiler)?;
        let check = self.compile_check()?;
        if let Some(check) = &check {
            check.follow(&pool.members.upstreams, |target| {
                Arc::clone(choose_transport(transport, plain, target))
            });
        }
        Ok((Upstreams::Fixed(pool), check))
    }

    fn compile_pool(&self, compiler: &Compiler<'_>) -> Result<Pool, CompileError> {
        let dials: Vec<&str> = self
            .upstreams
            .iter()
            .map(|upstream| upstream.dial.as_str())
            .collect();
        Ok(Pool {
            selection: self.compile_selection(&dials)?,
            members: self.fixed(compiler)?.into(),
        })
    }

    fn compile_selection(&self, dials: &[&str]) -> Result<Selection, CompileError> {
        self.policy()
            .map_or(Ok(Selection::Random), |policy| policy.compile(dials))
    }

    fn compile_check(&self) -> Result<Option<Check>, CompileError> {
        let checks = self.health_checks.as_ref();
        let active = checks.and_then(|checks| checks.active.as_ref());
        active.map_or(Ok(None), Check::compile)
    }

    /// The Services that a source of upstreams names.
    fn services<'s>(&self, source: &'s DynamicUpstreams) -> Result<&'s [ServicePort], CompileError> {
        let services = match source {
            DynamicUpstreams::Kubernetes(source) => &*source.services,
            _ => return Err(CompileError::not_served("dynamic")),
        };
        let twice = |(index, service): (usize, &'s ServicePort)| {
            services[..index].contains(service).then_some(service)
        };
        let message = if services.is_empty() {
            "`services` names no Service".to_owned()
        } else if services.len() > MAX_SERVICES {
            format!("there are more than {MAX_SERVICES} Services")
        } else if let Some(service) = services.iter().enumerate().find_map(twice) {
            format!("Service {service} is named twice")
        } else if !self.upstreams.is_empty() {
            "there are both `upstreams` and `dynamic_upstreams`".to_owned()
        } else {
            return Ok(services);
        };
        Err(CompileError::new(message))
    }

    /// The endpoints of Services.
    fn compile_lane(
        &self,
        services: &[ServicePort],
        transport: &Arc<Transport>,
        plain: Option<&(Box<[u16]>, Arc<Transport>)>,
        compiler: &mut Compiler<'_>,
    ) -> Result<Upstreams, CompileError> {
        // Later it is made ready for whatever addresses there are; what is wrong with it shows now.
        self.compile_selection(&[])?;
        let checks: Box<str> = json(&self.health_checks).into();
        let mut groups = Vec::with_capacity(services.len());
        for service in services {
            let transport = service_transport(service, transport, plain);
            let key = GroupKey {
                checks: checks.clone(),
                transport: Arc::clone(&transport),
            };
            let group = compiler.registry().group(service, key, || {
                let settings = Settings {
                    transport,
                    failures: self.failures()?,
                    max_requests: limit(self.unhealthy_request_count()),
                };
                Ok(Group::new(service.clone(), settings, self.compile_check()?))
            })?;
            compiler.add_check(group.check());
            groups.push(group);
        }
        let lane = compiler.registry().lane(groups.into(), self.policy());
        Ok(Upstreams::Lane(lane))
    }

    fn policy(&self) -> Option<&Policy> {
        let balancing = self.load_balancing.as_ref();
        balancing.and_then(|balancing| balancing.selection_policy.as_ref())
    }

    fn unhealthy_request_count(&self) -> i64 {
        self.passive_checks()
            .map_or(0, |passive| passive.unhealthy_request_count)
    }

    pub(super) fn passive_checks(&self) -> Option<&PassiveHealthChecks> {
        let checks = self.health_checks.as_ref();
        checks.and_then(|checks| checks.passive.as_ref())
    }

    /// When failures make an upstream unavailable, if ever.
    fn failures(&self) -> Result<Option<FailurePolicy>, CompileError> {
        let passive = self.passive_checks();
        let Some((passive, lifetime)) =
            passive.and_then(|passive| Some((passive, passive.fail_duration.to_std()?)))
        else {
            return Ok(None);
        };
        let max_fails = usize::try_from(passive.max_fails.max(1)).ok();
        let max_fails = max_fails
            .filter(|&count| count <= MAX_FAILS)
            .ok_or_else(|| CompileError::new(format!("`max_fails` is at most {MAX_FAILS}")))?;
        Ok(Some(FailurePolicy { lifetime, max_fails }))
    }

    fn fixed(&self, compiler: &Compiler<'_>) -> Result<Box<[Arc<Upstream>]>, CompileError> {
        let most = self.unhealthy_request_count();
        let failures = self.failures()?;
        let checks = hash(&self.health_checks);
        let upstreams = self.upstreams.iter().map(|config| {
            let address = Address::new(&config.dial)
                .map_err(|message| CompileError::new(format!("upstream {message}")))?;
            let most = if config.max_requests == 0 {
                most
            } else {
                config.max_requests
            };
            let key = EndpointKey {
                scope: compiler.scope().into(),
                dial: config.dial.as_str().into(),
                checks,
            };
            Ok(Arc::new(Upstream {
                text: config.dial.as_str().into(),
                address,
                max_requests: limit(most),
                endpoint: compiler.registry().endpoint(key, failures),
                transport: None,
            }))
        });
        upstreams.collect()
    }
}

/// How the endpoints of a Service are spoken to: with TLS, they show a certificate for the Service unless the config
/// names another.
fn service_transport(
    service: &ServicePort,
    transport: &Arc<Transport>,
    plain: Option<&(Box<[u16]>, Arc<Transport>)>,
) -> Arc<Transport> {
    let port = service.port.parse();
    if let Some((ports, plain)) = plain
        && port.is_ok_and(|port| ports.contains(&port))
    {
        return Arc::clone(plain);
    }
    match &transport.tls {
        Some(tls) if tls.server_name.is_none() => {
            let tls = UpstreamTls {
                server_name: Some(format!("{}.{}.svc", service.name, service.namespace)),
                ..tls.clone()
            };
            let named = Transport {
                tls: Some(tls),
                ..(**transport).clone()
            };
            Arc::new(named.with_id())
        }
        _ => Arc::clone(transport),
    }
}

/// How many requests an upstream takes at once; no limit at 0.
fn limit(number: i64) -> Option<usize> {
    usize::try_from(number).ok().filter(|&number| number > 0)
}
