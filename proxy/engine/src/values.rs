//! Values that configs are made of: durations, sizes, status codes, network addresses.
//!
//! Each reads what Caddy reads and prints what Caddy prints, in text and in JSON.

mod address;
mod duration;
mod header;
mod size;
mod status;

pub use address::{
    NetworkAddress, NetworkAddressError, is_fd_network, is_unix_network, join_network_address,
    split_network_address, split_socket_mode,
};
pub use duration::{Duration, DurationError};
pub use header::canonical_header;
pub use size::{Size, SizeError};
pub use status::{StatusCode, status_code_matches};

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Recorded from Go and Caddy: `[type, text, result]`, without a result for a refusal.
    const RECORDED: &str = include_str!("values/recorded.jsonl");

    /// Reads one value, in the form in which results were recorded.
    fn read(kind: &str, argument: &Value) -> Value {
        let text = || argument.as_str().unwrap();
        let part = |index: usize| argument[index].as_str().unwrap();
        match kind {
            "duration" => json!(
                Duration::parse(text())
                    .ok()
                    .map(|value| json!([value, value.to_string()]))
            ),
            "size" => json!(Size::parse(text()).ok()),
            "address" => match NetworkAddress::parse(text()) {
                Ok(address) => json!([
                    address.network,
                    address.host,
                    address.start_port,
                    address.end_port,
                    address.to_string()
                ]),
                Err(_) => Value::Null,
            },
            "join" => json!(join_network_address(part(0), part(1), part(2))),
            "status" => {
                let code: StatusCode = serde_json::from_str(text()).unwrap();
                json!([
                    code.as_str(),
                    serde_json::to_string(&code).unwrap(),
                    code.to_int()
                ])
            }
            other => panic!("no type {other}"),
        }
    }

    #[test]
    fn recorded_values_are_the_same() {
        let mut wrong = Vec::new();
        for line in RECORDED.lines() {
            let (kind, argument, expected): (String, Value, Value) = serde_json::from_str(line).unwrap();
            let found = read(&kind, &argument);
            if found != expected {
                wrong.push(format!("{kind} {argument}: {found}, recorded {expected}"));
            }
        }
        assert!(
            wrong.is_empty(),
            "{} differences:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }

    proptest::proptest! {
        #[test]
        fn printed_durations_read_back(nanos: i64) {
            let duration = Duration(nanos);
            proptest::prop_assert_eq!(Duration::parse(&duration.to_string()), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "[0-9dhmsµ.+e,kKiB /:|\\[\\]-]*") {
            let _ = Duration::parse(&text);
            let _ = Size::parse(&text);
            if let Ok(address) = NetworkAddress::parse(&text) {
                proptest::prop_assert!(address.start_port <= address.end_port);
            }
        }
    }
}
