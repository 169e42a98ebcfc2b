//! `file` matches if a file is there.
//!
//! ```caddyfile
//! file [<files…>] {
//!     root       <path>
//!     try_files  <files…>
//!     try_policy first_exist|first_exist_fallback|smallest_size|largest_size|most_recently_modified
//!     split_path <delimiters…>
//! }
//! ```
//!
//! Files lie below the root, which is that of `root`, or the working directory; without any, the request's path is meant.
//! A name that ends in `/` means a folder, any other one a file. Names may hold placeholders, and `*`, `?` and `[a-z]`,
//! which have no such meaning in a value. The last may be `=404`: the request ends with that status. What was found is
//! `{file_match.relative}`, `absolute`, `type` (`file` or `directory`), and `remainder`: what follows the delimiter at
//! which a path was split. Only for the operator: a tenant has no files here. JSON: `http.matchers.file`.

mod disk;

use fairway_caddyfile::{Args, Diagnostic, Segment};
use serde::{Deserialize, Serialize};

use crate::compile::CompileError;
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::matchers::{Entry, Set, Unanswered};
use crate::paths;
use crate::template::{Template, Value};

pub(crate) use disk::{Answer, Lookup};
use disk::{Pattern, Policy};

pub(crate) const MATCHER: Entry = Entry { name: "file", parse };

/// Which files are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The file system; only that of the machine can be asked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fs: String,
    /// The folder that the files lie in. Default: `{http.vars.root}`, else the working directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub root: String,
    /// The files, in order; `=404` ends the request with a status. Default: the request's path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub try_files: Vec<String>,
    /// Which of those that are there is meant. Default: `first_exist`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub try_policy: String,
    /// Where a path is split in two, of which the first is the file; each ends an element of the path. Case does not
    /// count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub split_path: Vec<String>,
}

/// The policies, by name.
pub(crate) const POLICIES: [&str; 5] = [
    "first_exist",
    "first_exist_fallback",
    "smallest_size",
    "largest_size",
    "most_recently_modified",
];

fn parse(lines: &[&Segment], _name: &str, set: &mut Set) -> Result<(), Diagnostic> {
    let config = set.file.get_or_insert_default();
    for line in lines {
        let mut args = Args::new(line);
        let files = args.remaining().iter().map(|token| token.text.clone());
        config.try_files.extend(files);
        for line in args.block() {
            let mut words = Args::new(line);
            match line.name.text.as_str() {
                "root" => config.root.clone_from(&words.required("a path")?.text),
                "try_files" => config.try_files.extend(texts(&mut words, "a file")?),
                "try_policy" => config.try_policy.clone_from(&words.required("a policy")?.text),
                "split_path" => config.split_path = texts(&mut words, "a delimiter")?,
                _ => {
                    let known = ["root", "try_files", "try_policy", "split_path"];
                    return Err(args.unknown_subdirective(line, known));
                }
            }
            words.finish_line()?;
        }
    }
    Ok(())
}

fn texts(words: &mut Args<'_>, what: &str) -> Result<Vec<String>, Diagnostic> {
    let tokens = words.remaining_required(what)?;
    Ok(tokens.iter().map(|token| token.text.clone()).collect())
}

/// The run-time form.
#[derive(Debug)]
pub(crate) struct File {
    root: Template,
    files: Box<[Wanted]>,
    policy: Policy,
    split: Box<[Box<str>]>,
}

/// A file to try, or a status instead of one.
#[derive(Debug)]
struct Wanted {
    template: Template,
    /// Whether it is written with a slash at its end.
    is_folder: bool,
    status: Option<u16>,
}

impl Config {
    pub(crate) fn compile(&self) -> Result<File, CompileError> {
        self.compile_parts().map_err(|error| error.within("file"))
    }

    fn compile_parts(&self) -> Result<File, CompileError> {
        if !self.fs.is_empty() {
            let message = format!(
                "the file system `{}` is unknown, only that of the machine is there",
                self.fs
            );
            return Err(CompileError::new(message));
        }
        let policy = match self.try_policy.as_str() {
            "" | "first_exist" => Policy::First,
            "first_exist_fallback" => Policy::FirstOrLast,
            "smallest_size" => Policy::Smallest,
            "largest_size" => Policy::Largest,
            "most_recently_modified" => Policy::Newest,
            other => return Err(CompileError::new(format!("there is no policy `{other}`"))),
        };
        let path = ["{http.request.uri.path}".to_owned()];
        let files = if self.try_files.is_empty() {
            &path[..]
        } else {
            &self.try_files
        };
        let root = if self.root.is_empty() {
            "{http.vars.root}"
        } else {
            &self.root
        };
        Ok(File {
            root: Template::new(root),
            files: files.iter().map(|text| Wanted::new(text)).collect(),
            policy,
            split: self.split_path.iter().map(|text| text.as_str().into()).collect(),
        })
    }
}

impl Wanted {
    fn new(text: &str) -> Self {
        let number = text.strip_prefix('=').and_then(|number| number.parse().ok());
        Self {
            template: Template::new(text),
            is_folder: text.ends_with('/'),
            status: number.filter(|status| (100..1000).contains(status)),
        }
    }
}

impl File {
    /// Whether a file is there. The disk is asked elsewhere: the first time there is no answer but the question, which
    /// whoever asks must put into [`Exchange::files`] with its answer.
    pub(crate) fn matches(&self, exchange: &mut Exchange) -> Result<bool, Unanswered> {
        let lookup = self.lookup(exchange);
        let answer = exchange.files.iter().find(|(asked, _)| *asked == lookup);
        let Some((_, answer)) = answer else {
            return Err(Unanswered::NeedsFiles(Box::new(lookup)));
        };
        let found = match answer {
            Answer::Nothing => return Ok(false),
            Answer::Status(status) => {
                return Err(HandlerError::new(*status, status.to_string()).into());
            }
            Answer::Found(found) => found.clone(),
        };
        let kind = if found.is_folder { "directory" } else { "file" };
        for (name, value) in [
            ("http.matchers.file.relative", found.relative),
            ("http.matchers.file.absolute", found.path),
            ("http.matchers.file.remainder", found.remainder),
            ("http.matchers.file.type", kind.to_owned()),
        ] {
            exchange.values.set(name, Value::Text(value.into()));
        }
        Ok(true)
    }

    /// What the disk is to be asked for this request.
    fn lookup(&self, exchange: &Exchange) -> Lookup {
        let root = self.root.fill_escaped(exchange, |_, value| {
            if value.is_empty() { "." } else { value }.to_owned()
        });
        let root = paths::clean(&root);
        let pattern = |wanted: &Wanted| {
            let filled = wanted.template.fill_escaped(exchange, |_, value| escape(value));
            let cleaned = paths::clean(&filled);
            let (before, remainder) = self.split(&cleaned);
            let slash = if wanted.is_folder { "/" } else { "" };
            Pattern {
                path: paths::sanitized_path_join(&root, &format!("{before}{slash}")),
                remainder: remainder.to_owned(),
                status: wanted.status,
            }
        };
        Lookup {
            patterns: self.files.iter().map(pattern).collect(),
            root,
            policy: self.policy,
        }
    }

    /// Splits a path behind the first delimiter that is in it and ends an element.
    fn split<'p>(&self, path: &'p str) -> (&'p str, &'p str) {
        for delimiter in &self.split {
            let length = delimiter.len();
            let windows = path.as_bytes().windows(length.max(1));
            // One at the very end leaves nothing to split off.
            let found = windows
                .take(path.len().saturating_sub(length))
                .position(|window| window[..length].eq_ignore_ascii_case(delimiter.as_bytes()));
            let Some((before, after)) = found.and_then(|at| path.split_at_checked(at + length)) else {
                continue;
            };
            if after.starts_with('/') {
                return (before, after);
            }
        }
        (path, "")
    }
}

/// A value, in which no character stands for others.
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for letter in value.chars() {
        if matches!(letter, '*' | '[' | '?' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use fairway_caddyfile::{Options, Origin, Source};

    use super::*;
    use crate::matchers::testing::{ask, check_json, check_not_compiled, check_refused, exchange};

    /// A folder that is gone with the value.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str, files: &[(&str, usize)]) -> Self {
            let path = std::env::temp_dir().join(format!("fairway-file-{}-{name}", std::process::id()));
            let folder = Self(path);
            for (file, length) in files {
                let path = folder.0.join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, vec![b'x'; *length]).unwrap();
            }
            folder
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// What is found: its relative path, its type and the remainder; or nothing, or a status.
    #[track_caller]
    fn check(folder: &Folder, lines: &str, target: &str, expected: &str) {
        let mut exchange = exchange(&format!("GET {target}"));
        let root = folder.0.to_str().unwrap();
        exchange.vars.set("root", Value::Text(root.into()));
        let found = match ask(lines, &mut exchange) {
            Err(error) => error.status.to_string(),
            Ok(false) => "nothing".to_owned(),
            Ok(true) => {
                let value = |name: &str| {
                    let value = exchange.values.get(&format!("http.matchers.file.{name}"));
                    value.unwrap().text().into_owned()
                };
                assert_eq!(value("absolute"), format!("{root}{}", value("relative")));
                format!("{} {} {}", value("relative"), value("type"), value("remainder"))
            }
        };
        assert_eq!(found, expected, "{lines}: {target}");
    }

    #[test]
    fn reads_both_forms() {
        check_json("file", r#"{"file": {}}"#);
        check_json("file a b", r#"{"file": {"try_files": ["a", "b"]}}"#);
        check_json(
            "file a {\nroot /r\ntry_files b c\ntry_policy smallest_size\nsplit_path .php .x\n}\nfile d",
            r#"{"file": {"root": "/r", "try_files": ["a", "b", "c", "d"], "try_policy": "smallest_size",
                "split_path": [".php", ".x"]}}"#,
        );
    }

    #[test]
    fn refuses() {
        check_refused("file {\nroot\n}", "`root` needs a path");
        check_refused("file {\ntry_files\n}", "`try_files` needs a file");
        check_refused("file {\ntry_policy\n}", "`try_policy` needs a policy");
        check_refused("file {\nsplit_path\n}", "`split_path` needs a delimiter");
        check_refused("file {\nfs x\n}", "`file` has no subdirective `fs`");
        check_refused(
            "file {\nroot a b\n}",
            "`root` takes no further argument, but `b` follows",
        );
        check_not_compiled("file {\ntry_policy first\n}", "file: there is no policy `first`");
        check_not_compiled("expression file(1)", "`file` takes strings and placeholders");
        check_not_compiled(
            "expression \"file({'a': 'b'})\"",
            "`file` takes `root`, `try_files`",
        );
        let config = Config {
            fs: "x".to_owned(),
            ..Config::default()
        };
        config.compile().unwrap_err();
    }

    #[test]
    fn finds_the_first() {
        let folder = Folder::new("first", &[("a.html", 1), ("dir/b c", 1), ("[x]", 1)]);
        check(&folder, "file", "/a.html", "/a.html file ");
        check(&folder, "file", "/A.html", "nothing");
        check(&folder, "file", "/dir", "nothing");
        check(&folder, "file", "/dir/", "nothing");
        check(
            &folder,
            "file {http.request.uri.path}/",
            "/dir",
            "/dir/ directory ",
        );
        check(&folder, "file", "/dir/b%20c", "/dir/b c file ");
        check(&folder, "file", "/[x]", "/[x] file ");
        check(&folder, "file", "/../a.html", "/a.html file ");
        check(&folder, "file x =404", "/", "404");
        check(&folder, "file =404 a.html", "/", "404");
        check(&folder, "file a.html =404", "/", "/a.html file ");
        check(&folder, "file =99", "/", "nothing");
        check(
            &folder,
            "expression file() && path('/a*')",
            "/a.html",
            "/a.html file ",
        );
        check(
            &folder,
            "expression !file('/x') && file({http.request.uri.path}, '/a.html')",
            "/y",
            "/a.html file ",
        );
        check(&folder, "not file /a.html", "/", "nothing");
    }

    #[test]
    fn patterns_stand_for_several() {
        let files = [("g/b.txt", 1), ("g/a.txt", 1), ("h/sub/c.txt", 1), ("*", 1)];
        let folder = Folder::new("patterns", &files);
        check(&folder, "file /g/*.txt", "/", "/g/a.txt file ");
        check(&folder, "file /?/b.txt", "/", "/g/b.txt file ");
        check(&folder, "file /*/sub/[a-c]*", "/", "/h/sub/c.txt file ");
        check(&folder, "file /g/[", "/", "nothing");
        check(&folder, "file /g*/", "/", "nothing");
        check(&folder, "file", "/g/*.txt", "nothing");
        check(&folder, "file", "/*", "/* file ");
        check(&folder, "file", &"/*".repeat(20_000), "nothing");
    }

    #[test]
    fn policies_choose() {
        let folder = Folder::new("policies", &[("a", 3), ("b", 1), ("c", 2), ("empty", 0)]);
        let lines = |policy: &str, files: &str| format!("file {files} {{\ntry_policy {policy}\n}}");
        check(&folder, &lines("smallest_size", "a b c"), "/", "/b file ");
        check(&folder, &lines("largest_size", "b a c x"), "/", "/a file ");
        check(&folder, &lines("largest_size", "empty"), "/", "nothing");
        check(&folder, &lines("smallest_size", "empty a"), "/", "/a file ");
        check(&folder, &lines("first_exist_fallback", "x b"), "/", "/b file ");
        check(&folder, &lines("first_exist_fallback", "x y"), "/", "nothing");
        let old = std::time::SystemTime::UNIX_EPOCH;
        let file = std::fs::File::options()
            .write(true)
            .open(folder.0.join("a"))
            .unwrap();
        file.set_modified(old).unwrap();
        check(&folder, &lines("most_recently_modified", "a b"), "/", "/b file ");
    }

    #[test]
    fn paths_are_split_behind_an_element() {
        let folder = Folder::new("split", &[("a.php", 1), ("b.phpx", 1)]);
        let lines = "file {\ntry_files {http.request.uri.path}\nsplit_path .php\n}";
        check(&folder, lines, "/a.php/more/x", "/a.php file /more/x");
        check(&folder, lines, "/a.php", "/a.php file ");
        check(&folder, lines, "/a.PHP/x", "nothing");
        check(&folder, lines, "/b.phpx", "/b.phpx file ");
        check(&folder, lines, "/b.phpx/y", "nothing");
    }

    #[test]
    fn tenants_ask_for_no_files() {
        #[track_caller]
        fn check(line: &str, expected: &[&str]) {
            let text = format!("example.com {{\n{line}\n}}\n");
            let origin = Origin::tenant("CaddyRoute shop/api", "shop");
            let source = Source::new(origin, "spec.caddyfile", text);
            let adapted = crate::adapt(source, &Options::default());
            let codes: Vec<_> = adapted.diagnostics.iter().map(|mistake| mistake.code).collect();
            assert_eq!(codes, expected, "{line}");
        }
        let refused = ["operator-only"];
        check("@a file /x", &refused);
        check("@a {\nnot file /x\n}", &refused);
        check("@a expression file()", &refused);
        check("@a `{path} == '/' || !(file /* */ ('/x'))`", &[]);
        check("@a `{path} == '/' || !(file // no\n ('/x'))`", &refused);
        check("@a expression \"{path} == 'file()'\"", &[]);
        check("try_files /x", &refused);
    }
}
