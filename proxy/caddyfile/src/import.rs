//! `import`: puts the tokens of a snippet or file in place of the line.
//!
//! A name is first a snippet: of the same text, defined above, then of the library; then, for an operator, a file
//! or pattern beside the text that says `import`. Names are looked up as the text that *wrote* them would: a
//! snippet of another object finds its own neighbours, not those of its caller.

mod expand;
mod glob;
mod substitute;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::import::expand::{Expansion, blocks_by_key};
use crate::import::glob::Pattern;
use crate::origin::Tier;
use crate::parse::Parser;
use crate::source::Source;
use crate::token::{ImportKind, ImportStep, Token};
use crate::tree::Snippet;

/// Where an `import` stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Between sites.
    File,
    /// In a block.
    Block,
}

/// A text as tokens.
pub(crate) struct Text {
    pub(crate) source: Arc<Source>,
    pub(crate) tokens: Vec<Token>,
}

/// The line that imports.
struct Statement {
    word: Token,
    name: Token,
    args: Vec<Token>,
    block: Vec<Token>,
}

/// What it names.
enum Target {
    Snippet(Arc<Snippet>),
    Text(Arc<Text>),
}

impl Target {
    fn tokens(&self) -> &[Token] {
        match self {
            Target::Snippet(snippet) => &snippet.body,
            Target::Text(text) => &text.tokens,
        }
    }

    fn step(&self, statement: &Statement) -> ImportStep {
        match self {
            Target::Snippet(snippet) => {
                let name = &snippet.name;
                statement.step(ImportKind::Snippet, &name.text, &name.home)
            }
            Target::Text(text) => text.step(statement),
        }
    }
}

impl Text {
    fn step(&self, statement: &Statement) -> ImportStep {
        statement.step(ImportKind::File, self.source.name(), &self.source)
    }
}

impl Statement {
    fn step(&self, kind: ImportKind, name: &str, target: &Arc<Source>) -> ImportStep {
        let parent = self.word.imports.clone();
        ImportStep {
            span: self.word.span.clone(),
            name: name.to_owned(),
            kind,
            depth: parent.as_ref().map_or(0, |step| step.depth) + 1,
            parent,
            target: Arc::clone(target),
        }
    }
}

impl Parser<'_> {
    /// Carries out the `import` that is next.
    pub(crate) fn import(&mut self, level: Level) {
        let closed = self.last_closed;
        let Some(statement) = self.statement() else { return };
        // An import of nothing leaves the text as if it were not there: a site may end before it.
        self.last_closed = closed;
        if !self.may_import(&statement) {
            return;
        }
        let blocks = match blocks_by_key(&statement.block) {
            Ok(blocks) => blocks,
            Err(diagnostic) => return self.report(diagnostic),
        };
        let targets = self.targets(&statement);
        let mut expanded = Vec::new();
        for target in targets {
            let step = Arc::new(target.step(&statement));
            if let Some(diagnostic) = self.cycle(&step, &statement) {
                self.report(diagnostic);
                continue;
            }
            let mut expansion = Expansion {
                args: &statement.args,
                block: &statement.block,
                blocks: &blocks,
                step: &step,
                tokens_left: &mut self.tokens_left,
                bytes_left: &mut self.bytes_left,
                warnings: Vec::new(),
                out: &mut expanded,
            };
            let result = expansion.run(target.tokens(), level);
            let warnings = expansion.warnings;
            for warning in warnings {
                self.report(warning);
            }
            if result.is_err() {
                let message = "the imports of this text produce more than is allowed";
                let diagnostic = Diagnostic::error("import-too-large", &statement.word, message)
                    .help("import less often, or import smaller snippets");
                return self.halt(diagnostic);
            }
        }
        self.pending.extend(expanded.into_iter().rev());
    }

    /// Reads the line.
    fn statement(&mut self) -> Option<Statement> {
        let word = self.next()?;
        let is_arg = |token: &Token| !token.is_open_brace() && !token.is_close_brace();
        let mut args = Vec::new();
        while self.peek().is_some_and(is_arg) {
            match self.next_on_line() {
                Some(token) => args.push(token),
                None => break,
            }
        }
        let mut block = Vec::new();
        if self.peek().is_some_and(Token::is_open_brace)
            && let Some(open) = self.next_on_line()
        {
            block = self.raw_block(&open);
            self.expect_line_end();
        } else if let Some(close) = self.peek().filter(|_| !self.is_at_line_start()) {
            let message =
                "unexpected `}` behind an `import`, because no matching opening brace is on the line";
            let diagnostic = Diagnostic::error("close-brace-on-line", close, message)
                .help("put the `}` that closes a block on a line of its own, or quote it");
            self.report(diagnostic); // It is taken for the end of the block.
        }
        if args.is_empty() {
            let message = "`import` needs the name of a snippet or file";
            self.report(Diagnostic::error("missing-argument", &word, message));
            return None;
        }
        let name = args.remove(0);
        if name.text.is_empty() {
            let message = "`import` requires a non-empty name of a snippet or file";
            self.report(Diagnostic::error("missing-argument", &name, message));
            return None;
        }
        Some(Statement {
            word,
            name,
            args,
            block,
        })
    }

    /// Holds the limits.
    fn may_import(&mut self, statement: &Statement) -> bool {
        let limits = self.options.limits;
        let depth = statement
            .word
            .imports
            .as_ref()
            .map_or(0, |step| step.depth as usize);
        if depth >= limits.import_depth {
            let message = format!(
                "imports are nested deeper than the {} levels allowed",
                limits.import_depth
            );
            self.report(Diagnostic::error("import-too-deep", &statement.word, message));
            return false;
        }
        if self.imports_left == 0 {
            let message = format!("more than the {} imports allowed", limits.imports);
            self.halt(Diagnostic::error("too-many-imports", &statement.word, message));
            return false;
        }
        self.imports_left -= 1;
        true
    }

    /// An import that would import itself.
    fn cycle(&self, step: &ImportStep, statement: &Statement) -> Option<Diagnostic> {
        let same =
            |source: &Source| source.name() == step.target.name() && source.origin() == step.target.origin();
        let within = step.parent.iter().flat_map(|parent| parent.chain());
        let mut within = within.filter(|outer| outer.kind == step.kind && outer.name == step.name);
        let own_file = step.kind == ImportKind::File && same(&self.source);
        if !own_file && !within.any(|outer| same(&outer.target)) {
            return None;
        }
        let from = match &step.parent {
            Some(outer) => outer.name.as_str(),
            None => self.source.name(),
        };
        let message = format!("a cycle of imports exists between `{from}` and `{}`", step.name);
        Some(Diagnostic::error("import-cycle", &statement.word, message))
    }

    fn targets(&mut self, statement: &Statement) -> Vec<Target> {
        let name = &statement.name;
        let own = *name.origin == **self.source.origin();
        if let Some(snippet) = self.file.snippets.get(&name.text).filter(|_| own) {
            return vec![Target::Snippet(Arc::clone(snippet))];
        }
        if let Some(snippet) = self.options.library.snippet(&name.text, &name.origin) {
            return vec![Target::Snippet(snippet)];
        }
        if statement.word.origin.tier.min(name.origin.tier) == Tier::Tenant {
            self.refuse_tenant(name);
            return Vec::new();
        }
        let paths = self.paths(statement);
        paths
            .into_iter()
            .filter_map(|path| self.text(path, statement))
            .map(Target::Text)
            .collect()
    }

    /// There is no such snippet, and a tenant has no files.
    fn refuse_tenant(&mut self, name: &Token) {
        let text = &name.text;
        let refusal = self.options.library.refusal(text, &name.origin);
        let like_file =
            text.contains(['*', '?', '.', '\\']) || text.starts_with('/') || text.matches('/').count() > 1;
        let diagnostic = if let Some(refusal) = refusal {
            Diagnostic::error("snippet-refused", name, refusal)
        } else if like_file {
            let message = format!("there is no snippet `{text}`, and files cannot be imported here");
            Diagnostic::error("tenant-file-import", name, message)
                .label("only the operator's Caddyfile may import files")
        } else {
            self.missing.push((self.next_report(), name.clone()));
            Diagnostic::error("unknown-snippet", name, format!("there is no snippet `{text}`"))
        };
        self.report(diagnostic);
    }

    /// The files that a name stands for.
    fn paths(&mut self, statement: &Statement) -> Vec<PathBuf> {
        let name = &statement.name;
        let text = &name.text;
        let folder = statement
            .word
            .home
            .path()
            .and_then(Path::parent)
            .unwrap_or(Path::new(""));
        match glob::pattern(folder, text) {
            Pattern::File(path) => vec![path],
            Pattern::Glob(pattern) => {
                let paths = glob::expand(&pattern, self.options.files, self.imports_left);
                if paths.is_empty() {
                    let message = format!("no files match the pattern `{text}`");
                    self.report(Diagnostic::warning("import-no-match", name, message));
                }
                paths
            }
            Pattern::TooMany => {
                let message = format!("pattern `{text}` has more than one wildcard of a kind");
                let help = "use at most one `*` and one `?`, and no `[…]`";
                self.report(Diagnostic::error("import-pattern", name, message).help(help));
                Vec::new()
            }
        }
    }

    /// The tokens of a file, read once.
    fn text(&mut self, path: PathBuf, statement: &Statement) -> Option<Arc<Text>> {
        if let Some(text) = self.texts.get(&path) {
            return text.clone();
        }
        let text = self.read_file(&path, statement).map(Arc::new);
        self.texts.insert(path, text.clone());
        text
    }

    fn read_file(&mut self, path: &Path, statement: &Statement) -> Option<Text> {
        let name = &statement.name;
        let bytes = match self.options.files.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let diagnostic = if error.kind() == io::ErrorKind::NotFound {
                    let text = &name.text;
                    self.missing.push((self.next_report(), name.clone()));
                    let message = format!(
                        "file to import not found: `{text}` is no file, and no snippet defined above"
                    );
                    Diagnostic::error("import-not-found", name, message)
                } else {
                    let message = format!("could not import `{}`: {error}", path.display());
                    Diagnostic::error("import-unreadable", name, message)
                };
                self.report(diagnostic);
                return None;
            }
        };
        let content = match String::from_utf8(bytes) {
            Ok(content) => content,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        if content.trim().is_empty() {
            let message = format!("imported file `{}` is empty", path.display());
            self.report(Diagnostic::warning("import-empty", name, message));
        }
        let source = Source::from_file(Arc::clone(statement.word.home.origin()), path, content);
        let mut text = Text {
            source,
            tokens: Vec::new(),
        };
        let step = text.step(statement);
        text.tokens = self.read(&text.source, Some(&Arc::new(step)))?;
        Some(text)
    }
}

#[cfg(test)]
mod tests;
