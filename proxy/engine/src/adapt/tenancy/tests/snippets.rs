//! Words of several authors in one line.

use super::{judged, tenant};

#[test]
fn snippets_of_the_operator_stay_the_operator_s() {
    let allowed = |lines: &str| {
        assert!(
            judged(tenant(), lines)
                .iter()
                .all(|told| !told.contains("operator-only")),
            "{lines}"
        );
    };
    allowed("import files");
    allowed("import proxy api X-Token");
    allowed("import around {\nrespond 1\n}");
    allowed("import secured {\nprotocols tls1.3\n}");
    allowed("import value {host}");
    allowed("import match {host}");
}

#[test]
fn words_of_tenants_in_snippets_are_the_tenant_s() {
    for (lines, places) in [
        ("import files_of ../../etc", &["1:1"][..]),
        ("import proxy 10.0.0.1:1 X", &["1:14"]),
        ("import proxy api Connection", &["1:18"]),
        ("import proxy api X {\nresolvers 1.1.1.1\n}", &["2:1"]),
        ("import around {\nroot /\n}", &["2:1"]),
        ("import around {\nrespond {env.X}\n}", &["2:9"]),
        ("import secured {\non_demand\n}", &["2:1"]),
        ("import value {env.X}", &["1:14"]),
        ("import value a{file./x}", &["1:15"]),
        ("import match {env.X}", &["1:1"]),
    ] {
        let expected: Vec<String> = places
            .iter()
            .map(|place| format!("operator-only {place}"))
            .collect();
        assert_eq!(judged(tenant(), lines), expected, "{lines}");
    }
}
