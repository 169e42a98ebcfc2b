//! `method` changes the method of the request, for all that comes after.
//!
//! ```caddyfile
//! method [<matcher>] <method>
//! ```
//!
//! It is sent in capitals, however it is written.
//!
//! ```caddyfile
//! method /hooks/* POST
//! ```

use fairway_caddyfile::{Args, Diagnostic};

use super::{Directive, Parse};
use crate::adapt::Scope;
use crate::handlers::{Config, rewrite};

pub(crate) const DIRECTIVE: Directive = Directive {
    name: "method",
    parse: Parse::Handler(parse),
};

fn parse(mut args: Args<'_>, _scope: &mut Scope<'_>) -> Result<Config, Diagnostic> {
    let method = args.required("a method")?;
    args.finish_line()?;
    Ok(Config::Rewrite(Box::new(rewrite::Config {
        method: method.text.clone(),
        ..rewrite::Config::default()
    })))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_util::handlers;

    #[test]
    fn reads_one_method() {
        assert_eq!(
            handlers("method get"),
            json!([{"handler": "rewrite", "method": "get"}])
        );
        assert_eq!(
            handlers("method /a PUT"),
            json!([{"handler": "rewrite", "method": "PUT"}])
        );
        assert_eq!(
            handlers("method /a"),
            json!("Caddyfile:2:1: `method` needs a method")
        );
        let extra = "Caddyfile:2:10: `method` takes no further argument, but `B` follows";
        assert_eq!(handlers("method A B"), json!(extra));
        assert_eq!(
            handlers("method A {\n}"),
            json!("Caddyfile:2:10: `method` takes no block")
        );
    }
}
