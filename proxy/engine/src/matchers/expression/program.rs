//! An expression, ready to be evaluated.
//!
//! `&&`, `||` and `!` at its top are evaluated here, so that a matcher is asked only when its answer counts, and what
//! it captures is there for what follows. What lies below is left to the `cel` crate; matchers in there are asked
//! beforehand, since it evaluates without the request.

use std::sync::{Arc, LazyLock};

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::{Context, Env, ExecutionError, Value as Cel, extensions};
use regex::Regex;

use super::{functions, scan};
use crate::error::HandlerError;
use crate::exchange::Exchange;
use crate::go_regex;
use crate::matchers::{Matcher, Unanswered};
use crate::template::{Placeholder, Value};

/// The begin of the names that stand for answers of matchers; their number follows.
const ANSWER: &str = "placeholder_answer_";

/// What `matches` is called once its regular expression is compiled.
const MATCHES: &str = "placeholder_matches";

/// Functions whose result may be far longer than their arguments.
const GROWING: [&str; 3] = ["replace", "join", "format"];

/// Functions and operators that give neither true nor false.
const OTHER_RESULTS: [&str; 20] = [
    operators::ADD,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::NEGATE,
    "bytes",
    "charAt",
    "double",
    "indexOf",
    "int",
    "lastIndexOf",
    "lowerAscii",
    "size",
    "split",
    "string",
    "substring",
    "trim",
    "uint",
    "upperAscii",
];

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    env.add_extension(extensions::strings)
        .expect("the extension declares nothing that is there");
    env.add_extension(extensions::math)
        .expect("the extension declares nothing that is there");
    Arc::new(env)
});

/// A part of an expression that gives true or false.
#[derive(Debug)]
pub(super) enum Node {
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    Not(Box<Node>),
    Constant(bool),
    Matcher(Box<Matcher>),
    Leaf(Box<Leaf>),
}

/// A part that the `cel` crate evaluates.
#[derive(Debug)]
pub(super) struct Leaf {
    expr: IdedExpr,
    placeholders: Box<[(String, Placeholder)]>,
    matchers: Box<[(String, Matcher)]>,
    regexes: Arc<[Regex]>,
}

/// Compiles an expression; `name` is for regular expressions without one. Needs much stack.
pub(super) fn compile(text: &str, name: &str) -> Result<Node, String> {
    let (scanned, placeholders) = scan::scan(text)?;
    let program = ENV.compile(&scanned).map_err(|errors| {
        let message = errors
            .errors
            .first()
            .map_or("it is incomplete", |error| &error.msg);
        readable(message, &placeholders)
    })?;
    let expr = program.expression();
    if matches!(&expr.expr, Expr::Ident(name) if scan::index(name).is_some()) {
        return Err("a placeholder alone is neither true nor false; compare it with something".to_owned());
    }
    let compiler = Compiler {
        name,
        placeholders: &placeholders,
    };
    compiler
        .node(expr)
        .map_err(|message| readable(&message, &placeholders))
}

/// The strings of an expression, those glued from several too, as its matchers get them; none if it does not compile.
/// Needs much stack.
pub(super) fn texts(text: &str) -> Vec<String> {
    let mut texts = Vec::new();
    if let Ok((scanned, placeholders)) = scan::scan(text)
        && let Ok(program) = ENV.compile(&scanned)
    {
        gather(program.expression(), &placeholders, &mut texts);
    }
    texts
}

fn gather(expr: &IdedExpr, placeholders: &[Placeholder], texts: &mut Vec<String>) {
    if let Some(text) = functions::text(expr, placeholders) {
        texts.push(text);
        return;
    }
    let mut below = |expr: &IdedExpr| gather(expr, placeholders, texts);
    match &expr.expr {
        Expr::Call(call) => {
            call.target.iter().for_each(|target| below(target));
            call.args.iter().for_each(below);
        }
        Expr::List(list) => list.elements.iter().for_each(below),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    below(&entry.key);
                    below(&entry.value);
                }
            }
        }
        Expr::Select(select) => below(&select.operand),
        Expr::Comprehension(comprehension) => {
            below(&comprehension.iter_range);
            below(&comprehension.accu_init);
            below(&comprehension.loop_cond);
            below(&comprehension.loop_step);
            below(&comprehension.result);
        }
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) | Expr::Struct(_) => {}
    }
}

/// A message in which placeholders are called as their author called them.
fn readable(message: &str, placeholders: &[Placeholder]) -> String {
    // From the last one, since the name of the first begins that of the eleventh.
    let indexed = placeholders.iter().enumerate().rev();
    indexed.fold(message.to_owned(), |message, (index, placeholder)| {
        message.replace(&scan::ident(index), &placeholder.written())
    })
}

struct Compiler<'a> {
    name: &'a str,
    placeholders: &'a [Placeholder],
}

impl Compiler<'_> {
    fn node(&self, expr: &IdedExpr) -> Result<Node, String> {
        let Expr::Call(call) = &expr.expr else {
            return self.leaf(expr);
        };
        match (&*call.func_name, &*call.args) {
            (operators::LOGICAL_AND, [left, right]) => {
                Ok(Node::And(Box::new([self.node(left)?, self.node(right)?])))
            }
            (operators::LOGICAL_OR, [left, right]) => {
                Ok(Node::Or(Box::new([self.node(left)?, self.node(right)?])))
            }
            (operators::LOGICAL_NOT, [inner]) => Ok(Node::Not(Box::new(self.node(inner)?))),
            _ => match functions::matcher(call, self.name, self.placeholders) {
                Some(matcher) => matcher.map(|matcher| Node::Matcher(Box::new(matcher))),
                None => self.leaf(expr),
            },
        }
    }

    fn leaf(&self, expr: &IdedExpr) -> Result<Node, String> {
        if cannot_be_bool(expr) {
            return Err("it gives something else than true or false".to_owned());
        }
        let mut expr = expr.clone();
        let mut walk = Walk {
            compiler: self,
            used: Vec::new(),
            matchers: Vec::new(),
            regexes: Vec::new(),
            variables: Vec::new(),
        };
        walk.expr(&mut expr, Loop::Outside)?;
        let placeholder = |index: &usize| (scan::ident(*index), self.placeholders[*index].clone());
        let leaf = Leaf {
            placeholders: walk.used.iter().map(placeholder).collect(),
            matchers: walk.matchers.into(),
            regexes: walk.regexes.into(),
            expr,
        };
        if leaf.placeholders.is_empty() && leaf.matchers.is_empty() {
            return leaf.value(&leaf.context()).map(Node::Constant);
        }
        Ok(Node::Leaf(Box::new(leaf)))
    }
}

/// Whether the result is surely neither true nor false.
fn cannot_be_bool(expr: &IdedExpr) -> bool {
    match &expr.expr {
        Expr::Literal(literal) => !matches!(literal, LiteralValue::Boolean(_)),
        Expr::List(_) | Expr::Map(_) => true,
        Expr::Call(call) => match (&*call.func_name, &*call.args) {
            (operators::CONDITIONAL, [_, yes, no]) => cannot_be_bool(yes) || cannot_be_bool(no),
            (name, _) => OTHER_RESULTS.contains(&name),
        },
        _ => false,
    }
}

/// Where a part stands.
#[derive(Clone, Copy, PartialEq)]
enum Loop {
    Outside,
    /// In a macro that loops.
    Inside,
}

/// Checks a part for the `cel` crate, and replaces in it what is ours.
struct Walk<'a> {
    compiler: &'a Compiler<'a>,
    /// The placeholders that it uses.
    used: Vec<usize>,
    matchers: Vec<(String, Matcher)>,
    regexes: Vec<Regex>,
    /// Variables of macros.
    variables: Vec<String>,
}

impl Walk<'_> {
    fn expr(&mut self, expr: &mut IdedExpr, within: Loop) -> Result<(), String> {
        match &mut expr.expr {
            Expr::Unspecified => return Err("it is incomplete".to_owned()),
            Expr::Literal(_) => {}
            Expr::Ident(name) => self.ident(name)?,
            Expr::Select(select) => self.expr(&mut select.operand, within)?,
            Expr::List(list) => {
                for element in &mut list.elements {
                    self.expr(element, within)?;
                }
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    let EntryExpr::MapEntry(entry) = &mut entry.expr else {
                        return Err("a map has keys and values".to_owned());
                    };
                    self.expr(&mut entry.key, within)?;
                    self.expr(&mut entry.value, within)?;
                }
            }
            Expr::Struct(message) => return Err(format!("there is no type `{}`", message.type_name)),
            Expr::Comprehension(comprehension) => {
                if within == Loop::Inside {
                    return Err("a macro that loops may not stand within or after another".to_owned());
                }
                self.expr(&mut comprehension.iter_range, Loop::Inside)?;
                self.expr(&mut comprehension.accu_init, Loop::Inside)?;
                let known = self.variables.len();
                self.variables.push(comprehension.iter_var.clone());
                self.variables.extend(comprehension.iter_var2.clone());
                self.variables.push(comprehension.accu_var.clone());
                self.expr(&mut comprehension.loop_cond, Loop::Inside)?;
                self.expr(&mut comprehension.loop_step, Loop::Inside)?;
                self.expr(&mut comprehension.result, Loop::Inside)?;
                self.variables.truncate(known);
            }
            Expr::Call(call) => {
                let matcher = functions::matcher(call, self.compiler.name, self.compiler.placeholders);
                if let Some(matcher) = matcher {
                    let answer = format!("{ANSWER}{}", self.matchers.len());
                    self.matchers.push((answer.clone(), matcher?));
                    expr.expr = Expr::Ident(answer);
                } else {
                    self.call(call, within)?;
                }
            }
        }
        Ok(())
    }

    fn ident(&mut self, name: &str) -> Result<(), String> {
        if let Some(index) = scan::index(name) {
            if !self.used.contains(&index) {
                self.used.push(index);
            }
            return Ok(());
        }
        let is_variable = self.variables.iter().any(|known| known == name);
        if is_variable || is_declared(Expr::Ident(name.to_owned())) {
            Ok(())
        } else {
            Err(format!("there is no variable `{name}`"))
        }
    }

    fn call(&mut self, call: &mut CallExpr, within: Loop) -> Result<(), String> {
        let name = call.func_name.clone();
        if GROWING.contains(&name.as_str()) {
            return Err(format!("the function `{name}` is not offered here"));
        }
        if name == "matches" {
            return self.matches(call, within);
        }
        // `math.abs(…)`: the target is no variable but a part of the name.
        let in_namespace = matches!(
            call.target.as_deref(),
            Some(IdedExpr { expr: Expr::Ident(target), .. })
                if !self.variables.contains(target) && scan::index(target).is_none()
        ) && is_declared(Expr::Call(CallExpr {
            args: Vec::new(),
            ..call.clone()
        }));
        if !in_namespace {
            // Operators are not all declared; none can be written that does not exist.
            let is_operator = !name.chars().all(char::is_alphanumeric);
            if !is_operator && !is_function(&name, call.target.is_some()) {
                return Err(format!("there is no function `{name}`"));
            }
            if let Some(target) = &mut call.target {
                self.expr(target, within)?;
            }
        }
        call.args.iter_mut().try_for_each(|arg| self.expr(arg, within))
    }

    /// `text.matches("regexp")`, or `matches(text, "regexp")`.
    fn matches(&mut self, call: &mut CallExpr, within: Loop) -> Result<(), String> {
        let target = call.target.take().map(|target| *target);
        let mut args: Vec<IdedExpr> = target.into_iter().chain(call.args.drain(..)).collect();
        let [subject, pattern] = &mut *args else {
            return Err("`matches` takes a text and a regular expression".to_owned());
        };
        let Some(regexp) = functions::text(pattern, &[]) else {
            return Err("the regular expression of `matches` must be a literal".to_owned());
        };
        self.expr(subject, within)?;
        let compiled = go_regex::compile(&regexp);
        let compiled = compiled.map_err(|error| format!("the regular expression `{regexp}`: {error}"))?;
        let index = i64::try_from(self.regexes.len()).unwrap_or(i64::MAX);
        self.regexes.push(compiled);
        pattern.expr = Expr::Literal(LiteralValue::Int(index.into()));
        MATCHES.clone_into(&mut call.func_name);
        call.args = args;
        Ok(())
    }
}

/// Whether there is such a function, of whatever arguments.
fn is_function(name: &str, is_member: bool) -> bool {
    let null = IdedExpr {
        id: 0,
        expr: Expr::Literal(LiteralValue::Null),
    };
    is_declared(Expr::Call(CallExpr {
        func_name: name.to_owned(),
        target: is_member.then(|| Box::new(null)),
        args: Vec::new(),
    }))
}

/// Whether the environment knows the name in this part.
fn is_declared(expr: Expr) -> bool {
    let context = Context::with_env(Arc::clone(&ENV));
    let expr = IdedExpr { id: 0, expr };
    let outcome = Cel::resolve_val(&expr, &context);
    !matches!(outcome, Err(ExecutionError::UndeclaredReference(_)))
}

impl Node {
    /// Whether one of its matchers may need to ask the disk.
    pub(super) fn asks_disk(&self) -> bool {
        match self {
            Self::And(operands) | Self::Or(operands) => operands.iter().any(Self::asks_disk),
            Self::Not(inner) => inner.asks_disk(),
            Self::Constant(_) => false,
            Self::Matcher(matcher) => matcher.asks_disk(),
            Self::Leaf(leaf) => leaf.matchers.iter().any(|(_, matcher)| matcher.asks_disk()),
        }
    }

    /// The answer for a request. As CEL has it, a failure beside an operand that decides is of no account.
    pub(super) fn evaluate(&self, exchange: &mut Exchange) -> Result<bool, Unanswered> {
        match self {
            Self::Constant(answer) => Ok(*answer),
            Self::Matcher(matcher) => matcher.matches(exchange),
            Self::Leaf(leaf) => leaf.evaluate(exchange),
            Self::Not(inner) => inner.evaluate(exchange).map(|answer| !answer),
            Self::And(operands) => combine(operands, Decisive::False, exchange),
            Self::Or(operands) => combine(operands, Decisive::True, exchange),
        }
    }
}

/// The answer of one operand that settles the matter.
#[derive(Clone, Copy)]
enum Decisive {
    True,
    False,
}

fn combine(
    [left, right]: &[Node; 2],
    decisive: Decisive,
    exchange: &mut Exchange,
) -> Result<bool, Unanswered> {
    let decides = |answer: bool| answer == matches!(decisive, Decisive::True);
    match left.evaluate(exchange) {
        Ok(answer) if decides(answer) => Ok(answer),
        Ok(_) => right.evaluate(exchange),
        Err(error) => match right.evaluate(exchange) {
            Ok(answer) if decides(answer) => Ok(answer),
            // It may yet decide.
            Err(question @ Unanswered::NeedsFiles(_)) => Err(question),
            _ => Err(error),
        },
    }
}

impl Leaf {
    fn evaluate(&self, exchange: &mut Exchange) -> Result<bool, Unanswered> {
        let mut context = self.context();
        for (name, matcher) in &self.matchers {
            context.add_variable_from_value(name.as_str(), matcher.matches(exchange)?);
        }
        for (name, placeholder) in &self.placeholders {
            context.add_variable_from_value(name.as_str(), value(placeholder.value(exchange)));
        }
        self.value(&context)
            .map_err(|message| HandlerError::internal(format!("evaluating an expression: {message}")).into())
    }

    fn context(&self) -> Context<'static, 'static> {
        let mut context = Context::with_env(Arc::clone(&ENV));
        if !self.regexes.is_empty() {
            let regexes = Arc::clone(&self.regexes);
            let matches = move |subject: Arc<String>, index: i64| {
                let regex = usize::try_from(index).ok().and_then(|index| regexes.get(index));
                regex.is_some_and(|regex| regex.is_match(&subject))
            };
            context
                .add_function(MATCHES, matches)
                .expect("no function of the environment has this name");
        }
        context
    }

    fn value(&self, context: &Context<'_, '_>) -> Result<bool, String> {
        match Cel::resolve(&self.expr, context) {
            Ok(Cel::Bool(answer)) => Ok(answer),
            Ok(other) => Err(format!(
                "it gives a value of type {}, neither true nor false",
                other.type_of()
            )),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn value(value: Option<Value>) -> Cel {
    match value {
        None | Some(Value::Null) => Cel::Null,
        Some(Value::Text(text)) => Cel::String(Arc::new(text.into())),
        Some(Value::Integer(number)) => Cel::Int(number),
        Some(Value::Float(number)) => Cel::Float(number),
        Some(Value::Bool(truth)) => Cel::Bool(truth),
        Some(Value::List(list)) => {
            let texts = list.iter().map(|text| Cel::String(Arc::new(text.to_string())));
            Cel::List(Arc::new(texts.collect()))
        }
    }
}
