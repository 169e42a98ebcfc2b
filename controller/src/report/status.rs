//! What a verdict becomes in the status of its object.

use fairway_crds::bounds;
use serde_json::{Value, json};

use crate::verdict::{Exports, Finding, State, Verdict};

/// The status of a CaddyRoute. Conditions that do not change keep the time since when they hold.
pub(super) fn of_caddy_route(verdict: &Verdict, stored: &Value) -> Value {
    let first = verdict.findings.iter().find(|finding| finding.is_error());
    let message = first.map_or_else(String::new, Finding::one_line);
    let why = |default: &str| first.map_or_else(|| default.to_owned(), |finding| reason(finding.code));
    let is_accepted = matches!(verdict.state, State::Accepted | State::PartiallyAccepted);
    let accepted = match verdict.state {
        State::Accepted => "Accepted".to_owned(),
        State::PartiallyAccepted => "PartiallyAccepted".to_owned(),
        _ => why("Refused"),
    };
    let is_programmed = is_accepted || verdict.state == State::Unavailable;
    let programmed = match verdict.state {
        State::LastGood => "LastGood",
        State::Refused => "NotServed",
        _ => "Programmed",
    };
    let is_ready = verdict.state == State::Accepted && first.is_none();
    let ready = if is_ready {
        "Ready".to_owned()
    } else {
        why("NotReady")
    };
    let condition = |kind: &str, holds: bool, reason: &str, message: &str| {
        let status = if holds { "True" } else { "False" };
        let known = stored["conditions"].as_array().into_iter().flatten();
        let known = known
            .clone()
            .find(|known| known["type"] == kind && known["status"] == status);
        let since = known.and_then(|known| known["lastTransitionTime"].as_str());
        let since = since.map_or_else(now, str::to_owned);
        json!({
            "type": kind, "status": status, "reason": reason, "lastTransitionTime": since,
            "message": bounds::cut(message.to_owned(), bounds::MESSAGE), "observedGeneration": verdict.generation,
        })
    };
    let mut status = json!({
        "observedGeneration": verdict.generation,
        "conditions": [
            condition("Accepted", is_accepted, &accepted, &message),
            condition("Programmed", is_programmed, programmed, ""),
            condition("Ready", is_ready, &ready, &message),
        ],
    });
    let hosts: Vec<&str> = verdict.hosts.iter().map(|host| host_name(host)).collect();
    if !hosts.is_empty() {
        status["hosts"] = hosts
            .iter()
            .take(bounds::HOSTS)
            .map(|host| json!({"host": host, "certificate": {"state": certificate(verdict, host)}}))
            .collect();
        let more = hosts.len().saturating_sub(3);
        let more = if more == 0 {
            String::new()
        } else {
            format!(" and {more} more")
        };
        status["hostSummary"] = json!(format!("{}{more}", hosts[..hosts.len().min(3)].join(", ")));
    }
    if !verdict.exports.is_empty() {
        let cut = |names: &[String]| names.iter().take(bounds::EXPORTS).cloned().collect();
        status["exports"] = json!(Exports {
            snippets: cut(&verdict.exports.snippets),
            named_routes: cut(&verdict.exports.named_routes),
        });
    }
    if let Some(text) = &verdict.last_good {
        status["lastGood"] = json!(text);
    }
    let mut findings: Vec<&Finding> = verdict.findings.iter().collect();
    findings.sort_by_key(|finding| !finding.is_error());
    if !findings.is_empty() {
        status["diagnostics"] = findings
            .into_iter()
            .take(bounds::DIAGNOSTICS)
            .map(diagnostic)
            .collect();
    }
    status
}

/// The status of an Ingress: the addresses at which it is served, each with the first mistake as the error of a port.
pub(super) fn of_ingress(verdict: &Verdict, addresses: &[Value]) -> Value {
    let first = verdict.findings.iter().find(|finding| finding.is_error());
    let addresses = addresses
        .iter()
        .filter(|_| verdict.state != State::Refused || first.is_some());
    let list: Vec<Value> = addresses
        .map(|address| {
            let mut address = address.clone();
            if let Some(finding) = first {
                let error = format!("fairway.dev/{}", reason(finding.code));
                address["ports"] = json!([{"port": 80, "protocol": "TCP", "error": error}]);
            }
            address
        })
        .collect();
    if list.is_empty() {
        return json!({});
    }
    json!({"loadBalancer": {"ingress": list}})
}

/// Whether everything of a status stands there already. Fields of others do not count.
pub(super) fn is_written(status: &Value, stored: &Value) -> bool {
    match (status, stored) {
        (Value::Object(wanted), stored) => {
            let mut ours = [
                "hosts",
                "hostSummary",
                "diagnostics",
                "exports",
                "lastGood",
                "loadBalancer",
            ]
            .iter();
            // What was ours and is no longer wanted has to go.
            let is_left = ours.any(|name| !wanted.contains_key(*name) && has_content(&stored[*name]));
            !is_left && wanted.iter().all(|(name, value)| stored[name] == *value)
        }
        (wanted, stored) => wanted == stored,
    }
}

fn has_content(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Object(fields) => fields.values().any(has_content),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    }
}

fn diagnostic(finding: &Finding) -> Value {
    let mut diagnostic = json!({
        "severity": if finding.is_error() { "Error" } else { "Warning" },
        "code": finding.code,
        "field": if finding.field.is_empty() { "spec" } else { &*finding.field },
        "message": bounds::cut(finding.message.clone(), bounds::MESSAGE),
    });
    if let Some(help) = &finding.help {
        diagnostic["help"] = json!(bounds::cut(help.clone(), bounds::MESSAGE));
    }
    if let (Some(line), Some(column)) = (finding.line, finding.column) {
        diagnostic["line"] = json!(line);
        diagnostic["column"] = json!(column);
    }
    diagnostic
}

fn certificate(verdict: &Verdict, host: &str) -> &'static str {
    if !verdict.secure.iter().any(|secure| host_name(secure) == host) {
        return "None";
    }
    let mut findings = verdict.findings.iter();
    if findings.any(|finding| {
        finding.code.starts_with("secret-") || finding.code == "no-certificate" && finding.is_error()
    }) {
        "Refused"
    } else {
        "Ready"
    }
}

/// A site without a host is for every host.
fn host_name(host: &str) -> &str {
    if host.is_empty() { "*" } else { host }
}

/// The code of a finding as Kubernetes writes reasons: `UnknownDirective`.
pub(super) fn reason(code: &str) -> String {
    let words = code.split('-').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect()
}

fn now() -> String {
    jiff::Timestamp::now()
        .round(jiff::Unit::Second)
        .unwrap_or_default()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(state: State, findings: Vec<Finding>) -> Verdict {
        Verdict {
            kind: "CaddyRoute",
            namespace: "shop".into(),
            name: "shop".into(),
            generation: 3,
            state,
            hosts: vec!["a.test".into(), String::new()],
            secure: vec!["a.test".into()],
            findings,
            exports: Exports {
                snippets: vec!["s".into()],
                named_routes: Vec::new(),
            },
            last_good: None,
        }
    }

    /// `type=status reason` of each condition.
    #[track_caller]
    fn check(state: State, findings: Vec<Finding>, expected: &[&str]) -> Value {
        let status = of_caddy_route(&verdict(state, findings), &json!({}));
        let conditions = status["conditions"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let found: Vec<String> = conditions
            .map(|found| {
                format!(
                    "{}={} {}",
                    text(&found["type"]),
                    text(&found["status"]),
                    text(&found["reason"])
                )
            })
            .collect();
        assert_eq!(found, expected);
        status
    }

    #[test]
    fn conditions_follow_the_state() {
        let broken = || {
            vec![Finding::error(
                "unknown-directive",
                "spec.caddyfile",
                "there is no directive `x`",
            )]
        };
        let status = check(
            State::Accepted,
            Vec::new(),
            &[
                "Accepted=True Accepted",
                "Programmed=True Programmed",
                "Ready=True Ready",
            ],
        );
        assert_eq!(
            status["hosts"][0],
            json!({"host": "a.test", "certificate": {"state": "Ready"}})
        );
        assert_eq!(
            status["hosts"][1],
            json!({"host": "*", "certificate": {"state": "None"}})
        );
        assert_eq!(status["hostSummary"], "a.test, *");
        assert_eq!(status["exports"], json!({"snippets": ["s"]}));
        check(
            State::LastGood,
            broken(),
            &[
                "Accepted=False UnknownDirective",
                "Programmed=False LastGood",
                "Ready=False UnknownDirective",
            ],
        );
        check(
            State::PartiallyAccepted,
            vec![Finding::error("host-conflict", "spec.caddyfile", "m")],
            &[
                "Accepted=True PartiallyAccepted",
                "Programmed=True Programmed",
                "Ready=False HostConflict",
            ],
        );
        check(
            State::Refused,
            broken(),
            &[
                "Accepted=False UnknownDirective",
                "Programmed=False NotServed",
                "Ready=False UnknownDirective",
            ],
        );
    }

    #[test]
    fn what_stands_there_is_not_written_again() {
        let verdict = verdict(State::Accepted, Vec::new());
        let first = of_caddy_route(&verdict, &json!({}));
        let mut stored = first.clone();
        stored["conditions"][0]["lastTransitionTime"] = json!("2020-01-01T00:00:00Z");
        let again = of_caddy_route(&verdict, &stored);
        assert!(is_written(&again, &stored));
        stored["diagnostics"] = json!([{"code": "x"}]);
        assert!(!is_written(&again, &stored));
        assert!(!is_written(&first, &json!({})));
        assert!(is_written(&json!({}), &json!({"loadBalancer": {}})));
    }

    #[test]
    fn an_ingress_carries_its_error_at_a_port() {
        let address = [json!({"ip": "10.0.0.1"})];
        let good = of_ingress(&verdict(State::Accepted, Vec::new()), &address);
        assert_eq!(good, json!({"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}));
        let bad = of_ingress(
            &verdict(State::Unavailable, vec![Finding::error("a-b", "", "m")]),
            &address,
        );
        let port = json!({"port": 80, "protocol": "TCP", "error": "fairway.dev/AB"});
        assert_eq!(
            bad,
            json!({"loadBalancer": {"ingress": [{"ip": "10.0.0.1", "ports": [port]}]}})
        );
        assert_eq!(of_ingress(&verdict(State::Accepted, Vec::new()), &[]), json!({}));
    }
}
