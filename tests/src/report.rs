//! Reading the diagnostics that the program prints.

/// One diagnostic of a report.
#[derive(Default)]
struct Told<'a> {
    code: &'a str,
    message: &'a str,
    place: &'a str,
    help: Option<&'a str>,
}

/// The errors of a report, one line each: `FILE:LINE:COLUMN: MESSAGE; HELP [CODE]`.
#[must_use]
pub fn one_line_each(report: &str) -> String {
    let mut errors: Vec<Told> = Vec::new();
    let mut in_warning = false;
    for line in report.lines() {
        let head = line.split_once("]: ");
        if let Some((code, message)) =
            head.and_then(|(head, message)| Some((head.strip_prefix("error[")?, message)))
        {
            errors.push(Told {
                code,
                message,
                ..Told::default()
            });
        }
        in_warning = (in_warning && !line.starts_with("error[")) || line.starts_with("warning[");
        let Some(error) = errors.last_mut().filter(|_| !in_warning) else {
            continue;
        };
        if let Some(place) = line.trim_start().strip_prefix("--> ") {
            error.place = place;
        } else if let Some(help) = line.trim_start().strip_prefix("= help: ") {
            error.help = Some(help);
        }
    }
    let lines = errors.iter().map(
        |Told {
             code,
             message,
             place,
             help,
         }| {
            let help = help.map(|help| format!("; {help}")).unwrap_or_default();
            format!("{place}: {message}{help} [{code}]")
        },
    );
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_one_line() {
        let report = "\
error[unknown-directive]: unknown directive `redri`
 --> Caddyfile:2:2
  |
2 |     redri /a /b
  |     ^^^^^ not known here
  = help: did you mean `redir`?
warning[no-certificate]: `a.test` has no certificate
 --> Caddyfile:1:1
  = help: this is not told
error[unclosed-block]: this block is not closed
 --> Caddyfile:9:1
";
        let expected = "\
Caddyfile:2:2: unknown directive `redri`; did you mean `redir`? [unknown-directive]
Caddyfile:9:1: this block is not closed [unclosed-block]";
        assert_eq!(one_line_each(report), expected);
    }

    #[test]
    fn what_is_no_diagnostic_gives_nothing() {
        assert_eq!(one_line_each("error: no such file\n"), "");
    }
}
