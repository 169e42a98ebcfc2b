//! Matchers as functions of an expression.

use std::collections::BTreeMap;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};

use super::scan;
use crate::compile::CompileError;
use crate::matchers::{
    Matcher, client_ip, file, header, header_regexp, host, method, path, path_regexp, protocol, query,
    regexp, remote_ip, vars,
};
use crate::template::Placeholder;

/// The matcher that a call names, if it names one.
///
/// Placeholders among the arguments become part of the matcher's own texts, where it takes them.
pub(super) fn matcher(
    call: &CallExpr,
    name: &str,
    placeholders: &[Placeholder],
) -> Option<Result<Matcher, String>> {
    if call.target.is_some() {
        return None;
    }
    let arguments = Arguments {
        call,
        name,
        placeholders,
    };
    Some(match call.func_name.as_str() {
        "host" => arguments.texts().and_then(|hosts| {
            let host = host::Config(hosts).compile().map_err(message)?;
            Ok(Matcher::Host(host))
        }),
        "path" => arguments
            .texts()
            .map(|paths| Matcher::Path(path::Config(paths).compile())),
        "method" => arguments
            .literals()
            .map(|methods| Matcher::Method(method::Config(methods).compile())),
        "remote_ip" => arguments.literals().and_then(|ranges| {
            let matcher = remote_ip::Config { ranges }.compile().map_err(message)?;
            Ok(Matcher::RemoteIp(matcher))
        }),
        "client_ip" => arguments.literals().and_then(|ranges| {
            let matcher = client_ip::Config { ranges }.compile().map_err(message)?;
            Ok(Matcher::ClientIp(matcher))
        }),
        "protocol" => arguments.literals().and_then(|protocols| match &*protocols {
            [protocol] => {
                let config = protocol::Config(protocol.to_lowercase());
                Ok(Matcher::Protocol(config.compile()))
            }
            _ => Err("`protocol` takes one string".to_owned()),
        }),
        "path_regexp" => arguments.regexp().and_then(|([], regexp)| {
            let matcher = path_regexp::PathRegexp::compile(&regexp).map_err(message)?;
            Ok(Matcher::PathRegexp(matcher))
        }),
        "header_regexp" => arguments.regexp().and_then(|([field], regexp)| {
            let config = header_regexp::Config(BTreeMap::from([(field, regexp)]));
            Ok(Matcher::HeaderRegexp(config.compile().map_err(message)?))
        }),
        "file" => arguments.file().and_then(|config| {
            let matcher = config.compile().map_err(message)?;
            Ok(Matcher::File(matcher))
        }),
        "query" => arguments
            .map()
            .map(|keys| Matcher::Query(query::Config(keys).compile())),
        "vars" => arguments
            .map()
            .map(|keys| Matcher::Vars(vars::Config(keys).compile())),
        "header" => arguments.map().map(|fields| {
            let fields = fields.into_iter().map(|(field, values)| (field, Some(values)));
            Matcher::Header(header::Config(fields.collect()).compile())
        }),
        _ => return None,
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn message(error: CompileError) -> String {
    error.to_string()
}

/// The arguments of one call.
#[derive(Clone, Copy)]
struct Arguments<'a> {
    call: &'a CallExpr,
    name: &'a str,
    placeholders: &'a [Placeholder],
}

impl Arguments<'_> {
    /// Strings, in which placeholders are taken; at least one.
    fn texts(self) -> Result<Vec<String>, String> {
        self.strings(self.placeholders, "strings and placeholders")
    }

    /// Strings without placeholders; at least one.
    fn literals(self) -> Result<Vec<String>, String> {
        self.strings(&[], "strings")
    }

    fn strings(self, placeholders: &[Placeholder], what: &str) -> Result<Vec<String>, String> {
        let args = &self.call.args;
        let texts: Option<Vec<_>> = args.iter().map(|arg| text(arg, placeholders)).collect();
        let texts = texts.filter(|texts| !texts.is_empty());
        texts.ok_or_else(|| format!("`{}` takes {what}, at least one", self.call.func_name))
    }

    /// A name, which may be missing, then `N` strings, then a regular expression.
    fn regexp<const N: usize>(self) -> Result<([String; N], regexp::Config), String> {
        let mut texts = self.literals()?;
        let mut name = String::new();
        if texts.len() == N + 2 {
            name = texts.remove(0);
        }
        let pattern = texts.pop().unwrap_or_default();
        let before: [String; N] = texts.try_into().map_err(|_| {
            let function = &self.call.func_name;
            format!("`{function}` takes {} or {} strings", N + 1, N + 2)
        })?;
        if name.is_empty() {
            self.name.clone_into(&mut name);
        }
        Ok((before, regexp::Config { name, pattern }))
    }

    /// Files, or a map of what the matcher `file` takes; nothing is the request's path.
    fn file(self) -> Result<file::Config, String> {
        if self.call.args.is_empty() {
            return Ok(file::Config::default());
        }
        if !matches!(
            &*self.call.args,
            [IdedExpr {
                expr: Expr::Map(_),
                ..
            }]
        ) {
            let try_files = self.texts()?;
            return Ok(file::Config {
                try_files,
                ..file::Config::default()
            });
        }
        let mut config = file::Config::default();
        for (key, mut values) in self.map()? {
            match key.as_str() {
                "try_files" => config.try_files = values,
                "split_path" => config.split_path = values,
                "root" if values.len() == 1 => config.root = values.remove(0),
                "try_policy" if values.len() == 1 => config.try_policy = values.remove(0),
                _ => return Err("`file` takes `root`, `try_files`, `try_policy` and `split_path`".to_owned()),
            }
        }
        Ok(config)
    }

    /// A map of strings to strings or lists of strings.
    fn map(self) -> Result<BTreeMap<String, Vec<String>>, String> {
        let refused = || {
            let function = &self.call.func_name;
            format!("`{function}` takes one map of strings to strings or lists of strings")
        };
        let [
            IdedExpr {
                expr: Expr::Map(map), ..
            },
        ] = &*self.call.args
        else {
            return Err(refused());
        };
        let entries = map.entries.iter().map(|entry| {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                return None;
            };
            let text = |expr| text(expr, self.placeholders);
            let values = match &entry.value.expr {
                Expr::List(list) => list.elements.iter().map(text).collect::<Option<_>>()?,
                _ => vec![text(&entry.value)?],
            };
            Some((text(&entry.key)?, values))
        });
        entries.collect::<Option<_>>().ok_or_else(refused)
    }
}

/// The text of a string, with placeholders in braces.
pub(super) fn text(expr: &IdedExpr, placeholders: &[Placeholder]) -> Option<String> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
        Expr::Ident(name) => placeholders.get(scan::index(name)?).map(Placeholder::written),
        Expr::Call(call) if call.func_name == operators::ADD => {
            call.args.iter().map(|arg| text(arg, placeholders)).collect()
        }
        _ => None,
    }
}
