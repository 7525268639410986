//! Pastes handlers into the resident loop.
//!
//! The compiler emits one `.func` a handler and `ringkernel_dispatch` over them, which is what a reader of `cargo expand` wants to see.
//! ptxas does not inline a `.func`, and on an H200 the one call of a hand-written handler took 0.15 of a round trip's 3.05 us, and a third of
//! the messages that sixteen warps can handle. So their text is put where the calls were: parameters become
//! the loop's registers, `ret` becomes a branch, and each body gets braces of its own, which scope its registers and labels.
//!
//! The first words of a message lie in registers of the loop too, `%m0` to `%m5`. A handler whose message has a fixed size reads them there: what is
//! stored to memory and loaded again takes some forty cycles.
//!
//! Functions that handlers call (for the remainder of floats, say) stay functions. What handlers call of the loop (`ringkernel_send` and its like, which
//! are declared `.extern` in their text) is pasted too: see [`Calls`].

use std::collections::HashMap;

/// What the loop passes in, as registers `%rk_<name>`; the answer is `%rk_result`.
const PARAMETERS: [&str; 6] = ["state", "message", "reply", "tag", "instance", "words"];

/// The first so many words of a message are in `%m0`, `%m1` and so on.
const IN_REGISTERS: u32 = 6;

/// An actor's PTX, ready to be joined.
pub(super) struct Pasted {
    /// Functions and module variables that are still needed as such.
    pub(super) outside: String,
    /// The dispatch with its handlers, a block; empty where the text has no `ringkernel_dispatch`.
    pub(super) dispatch: String,
}

/// The loop's side of what handlers call: where a call stood, its arguments go into the registers `%ks_<parameter>`, the text for it follows, and what it
/// left in `%ks_sent` or `%ks_time` is the answer.
pub(super) struct Calls {
    text: fn(&str) -> Option<String>,
    used: bool,
}

impl Calls {
    /// With the text for a function's name.
    pub(super) fn new(text: fn(&str) -> Option<String>) -> Self {
        Self { text, used: false }
    }

    /// Whether there was any.
    pub(super) fn used(&self) -> bool {
        self.used
    }

    /// What stands for the call between these braces, if it is one of ours.
    fn replace(&mut self, inner: &[&str]) -> Option<String> {
        let called = inner.iter().find_map(|line| {
            let call = line.trim().strip_prefix("call ")?;
            call.split([',', ' ', ';'])
                .find(|word| word.starts_with("ringkernel_") && *word != "ringkernel_dispatch")
        })?;
        let body = (self.text)(called)?;
        self.used = true;
        let mut text = String::from("    {\n");
        for line in inner.iter().map(|line| line.trim()) {
            let Some((ty, rest)) = line.strip_prefix("st.param.").and_then(|line| line.split_once(' '))
            else {
                continue;
            };
            let Some((name, value)) = rest.trim().strip_prefix('[').and_then(|rest| rest.split_once("],"))
            else {
                continue;
            };
            let name = name.trim().trim_end_matches('_');
            text.push_str(&format!("    mov.{ty} %ks_{name}, {}\n", value.trim()));
        }
        text.push_str(&body);
        for line in inner.iter().map(|line| line.trim()) {
            let Some((ty, rest)) = line.strip_prefix("ld.param.").and_then(|line| line.split_once(' '))
            else {
                continue;
            };
            let Some((register, _)) = rest.split_once(',') else { continue };
            let answer = if ty.ends_with("64") { "time" } else { "sent" };
            text.push_str(&format!("    mov.{ty} {}, %ks_{answer};\n", register.trim()));
        }
        text.push_str("    }");
        Some(text)
    }
}

struct Function<'a> {
    name: &'a str,
    text: Vec<&'a str>,
    body: Vec<&'a str>,
}

/// Takes an actor's PTX (without the module's directives) apart.
pub(super) fn paste(ptx: &str, calls: &mut Calls) -> Pasted {
    let mut outside = Vec::new();
    let mut functions = Vec::new();
    let mut lines = ptx.lines();
    while let Some(line) = lines.next() {
        // The loop is where these are.
        if line.starts_with(".extern .func") && line.contains("ringkernel_") {
            continue;
        }
        let Some(name) = function_name(line) else {
            outside.push(line);
            continue;
        };
        let mut text = vec![line];
        for line in lines.by_ref() {
            text.push(line);
            if line == "}" {
                break;
            }
        }
        let open = text.iter().position(|line| line.trim_end().ends_with('{'));
        let body = open.map_or(Vec::new(), |open| text[open + 1..text.len() - 1].to_vec());
        functions.push(Function { name, text, body });
    }
    let by_name: HashMap<&str, &Function<'_>> = functions.iter().map(|f| (f.name, f)).collect();
    let mut pasting =
        Pasting { functions: &by_name, calls, text: String::new(), returns: 0, used: Vec::new() };
    if let Some(dispatch) = by_name.get("ringkernel_dispatch") {
        pasting.block(&dispatch.body, false);
        pasting.used.push(dispatch.name);
    }
    for function in functions.iter().filter(|function| !pasting.used.contains(&function.name)) {
        outside.extend(&function.text);
    }
    Pasted { outside: outside.join("\n"), dispatch: pasting.text }
}

/// The name of the function that a line begins.
fn function_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix(".visible ").unwrap_or(line).strip_prefix(".func ")?;
    let rest = rest.split_once(')').filter(|_| rest.starts_with('(')).map_or(rest, |(_, rest)| rest);
    rest.split_once('(').map(|(name, _)| name.trim())
}

struct Pasting<'a> {
    functions: &'a HashMap<&'a str, &'a Function<'a>>,
    calls: &'a mut Calls,
    text: String,
    returns: u32,
    used: Vec<&'a str>,
}

impl<'a> Pasting<'a> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A function's body as a block that ends at the label behind it. `in_registers`: its message's first words are.
    fn block(&mut self, body: &[&'a str], in_registers: bool) {
        self.returns += 1;
        let end = format!("RK_RETURN_{}", self.returns);
        self.line("    {");
        let mut lines = body.iter().copied();
        while let Some(line) = lines.next() {
            let code = line.split("//").next().unwrap_or_default().trim();
            if code == "{" {
                let inner: Vec<_> = lines.by_ref().take_while(|line| line.trim() != "}").collect();
                self.call_or_braces(&inner);
            } else if let Some(moved) = parameter(code) {
                self.line(&format!("    {moved}"));
            } else if let Some(moved) = load_of_message(code).filter(|_| in_registers) {
                self.line(&format!("    {moved}"));
            } else if let Some(value) = code.strip_prefix("st.param.b64 [result], ") {
                self.line(&format!("    mov.b64 %rk_result, {value}"));
            } else if let Some(condition) =
                code.strip_suffix("ret;").filter(|c| c.is_empty() || c.starts_with('@'))
            {
                self.line(&format!("    {condition}bra {end};"));
            } else {
                self.line(line);
            }
        }
        self.line("    }");
        self.line(&format!("{end}:"));
    }

    /// What stands between braces inside a function: a call of a handler, which is pasted, or anything else, which stays.
    fn call_or_braces(&mut self, inner: &[&'a str]) {
        if let Some(text) = self.calls.replace(inner) {
            return self.line(&text);
        }
        let callee = inner.iter().find_map(|line| {
            let name = line.trim().strip_prefix("call ")?.split(',').nth(1)?.trim();
            self.functions.get(name).filter(|function| takes_what_the_loop_has(function))
        });
        let answer = inner.iter().find_map(|line| {
            let (register, _) = line.trim().strip_prefix("ld.param.b64 ")?.split_once(',')?;
            Some(register)
        });
        match (callee, answer) {
            (Some(function), Some(register)) => {
                self.used.push(function.name);
                let in_registers = has_fixed_message(function) && only_loads_message(&function.body);
                self.block(&function.body, in_registers);
                self.line(&format!("    mov.b64 {register}, %rk_result;"));
            }
            _ => {
                self.line("    {");
                inner.iter().for_each(|line| self.line(line));
                self.line("    }");
            }
        }
    }
}

/// `ld.param.b64 %state, [state];` as a move from the loop's register.
fn parameter(code: &str) -> Option<String> {
    let (ty, rest) = code.strip_prefix("ld.param.")?.split_once(' ')?;
    let (register, name) = rest.split_once(',')?;
    let name = name.trim().strip_prefix('[')?.strip_suffix("];")?;
    PARAMETERS.contains(&name).then(|| format!("mov.{ty} {register}, %rk_{name};"))
}

/// `ld.u32 %r0, [%message+4];` as a move from the registers with the message's first words, where all of it lies there.
fn load_of_message(code: &str) -> Option<String> {
    let at = code.find("ld.")?;
    let (condition, code) = code.split_at(at);
    let (ty, rest) = code.strip_prefix("ld.")?.split_once(' ')?;
    let (register, place) = rest.split_once(',')?;
    let place = place.trim().strip_prefix("[%message")?.strip_suffix("];")?;
    let offset: u32 = if place.is_empty() { 0 } else { place.strip_prefix('+')?.parse().ok()? };
    let (first, words) = (offset / 4, if ty.ends_with("64") { 2 } else { 1 });
    if !offset.is_multiple_of(4) || first + words > IN_REGISTERS {
        return None;
    }
    match ty {
        "u32" | "s32" | "b32" | "f32" => Some(format!("{condition}mov.b32 {register}, %m{first};")),
        "u64" | "s64" | "b64" | "f64" => {
            Some(format!("{condition}mov.b64 {register}, {{%m{first}, %m{}}};", first + 1))
        }
        _ => None,
    }
}

/// Whether a handler's message always has as many words, so that it lies where messages do.
fn has_fixed_message(function: &Function<'_>) -> bool {
    !function.text[0].contains(".param .b32 words")
}

/// Whether a body does nothing with its message but load from it, and has no registers that are called as those are that have its words.
fn only_loads_message(body: &[&str]) -> bool {
    body.iter().all(|line| {
        let code = line.split("//").next().unwrap_or_default().trim();
        let loads = code.contains("[%message") && !code.contains("st.");
        let declares = code.starts_with(".reg ");
        let mentions = code.contains("%message");
        !code.contains("%m<")
            && !(0..IN_REGISTERS).any(|word| code.contains(&format!("%m{word}")))
            && (!mentions || loads || declares || parameter(code).is_some())
    })
}

/// Whether a function's parameters are what dispatch was given itself, and passes on.
fn takes_what_the_loop_has(function: &Function<'_>) -> bool {
    let parameters = "(.param .b64 state, .param .b64 message, .param .b64 reply, .param .b32 instance";
    let rest = function.text[0].split_once(parameters).map(|(_, rest)| rest.trim());
    // Where a handler asks for it, how many words its message has.
    function.text[0].contains("(.param .b64 result)")
        && rest.is_some_and(|rest| [")", ", .param .b32 words)"].contains(&rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTOR: &str = "\
.func (.param .b64 result) helper(.param .b64 a)
{
    st.param.b64 [result], 7;
    ret;
}
.func (.param .b64 result) Actor_add(.param .b64 state, .param .b64 message, .param .b64 reply, .param .b32 instance)
{
    .reg .b64 %state, %r0;
    .reg .pred %p;
    ld.param.b64 %state, [state];
    {
        .param .b64 result_;
        call (result_), helper, (%r0);
        ld.param.b64 %r0, [result_];
    }
    @%p ret;
    bra Ferret;
Ferret:
    st.param.b64 [result], 0x10;
    ret;
}
.visible .func (.param .b64 result) ringkernel_dispatch(.param .b64 state, .param .b64 message, .param .b64 reply, .param .b32 tag, .param .b32 instance)
{
    .reg .b64 %result;
    .reg .b32 %tag;
    ld.param.b32 %tag, [tag];
    {
        .param .b64 result_;
        call (result_), Actor_add, (state_, message_, reply_, instance_);
        ld.param.b64 %result, [result_];
    }
    st.param.b64 [result], %result;
    ret;
}";

    #[test]
    fn handlers_are_pasted_their_helpers_stay_and_returns_become_branches() {
        let pasted = paste(ACTOR, &mut Calls::new(|_| None));
        assert!(pasted.outside.contains("helper(.param"), "{}", pasted.outside);
        assert!(!pasted.outside.contains("Actor_add") && !pasted.outside.contains("ringkernel_dispatch"));
        let lines: Vec<&str> = pasted.dispatch.lines().map(str::trim).collect();
        for line in [
            "mov.b32 %tag, %rk_tag;",
            "mov.b64 %state, %rk_state;",
            "call (result_), helper, (%r0);",
            "@%p bra RK_RETURN_2;",
            "bra Ferret;",
            "mov.b64 %rk_result, 0x10;",
            "bra RK_RETURN_2;",
            "mov.b64 %result, %rk_result;",
            "mov.b64 %rk_result, %result;",
            "bra RK_RETURN_1;",
        ] {
            assert!(lines.contains(&line), "{line} in {}", pasted.dispatch);
        }
        assert!(!lines.iter().any(|line| line.contains("param.b64 [result]") || line.ends_with(" ret;")));
        assert_eq!(pasted.dispatch.matches('{').count(), pasted.dispatch.matches('}').count());
    }

    fn loads(declared: &str, parameters: &str, line: &str) -> Vec<String> {
        let text = ACTOR
            .replacen(
                "instance)\n{\n",
                &format!("instance{parameters})\n{{\n    {declared}\n    {line}\n"),
                1,
            )
            .replace("call (result_), helper, (%r0);", "call (result_), helper, (%r1);");
        let pasted = paste(&text, &mut Calls::new(|_| None));
        pasted.dispatch.lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn the_first_words_of_a_message_of_fixed_size_are_taken_from_registers() {
        for (load, moved) in [
            ("ld.u32 %r0, [%message];", "mov.b32 %r0, %m0;"),
            ("ld.f32 %r0, [%message+20];", "mov.b32 %r0, %m5;"),
            ("@%p ld.s64 %r0, [%message+16];", "@%p mov.b64 %r0, {%m4, %m5};"),
            // Not all of it is there, or it is less than a word.
            ("ld.u32 %r0, [%message+24];", "ld.u32 %r0, [%message+24];"),
            ("ld.f64 %r0, [%message+20];", "ld.f64 %r0, [%message+20];"),
            ("ld.u8 %r0, [%message+8];", "ld.u8 %r0, [%message+8];"),
            ("ld.u32 %r0, [%message+6];", "ld.u32 %r0, [%message+6];"),
        ] {
            let lines = loads("ld.param.b64 %message, [message];", "", load);
            assert!(lines.contains(&moved.to_owned()), "{load}: {lines:?}");
        }
    }

    #[test]
    fn a_message_that_may_lie_elsewhere_or_be_written_is_read_in_memory() {
        let load = "ld.u32 %r0, [%message];";
        for (declared, parameters) in [
            ("", ", .param .b32 words"),
            ("st.u32 [%message], 7;", ""),
            ("add.u64 %message, %message, 8;", ""),
            ("mov.b64 %state, %message;", ""),
            (".reg .b32 %m0;", ""),
            (".reg .b32 %m<9>;", ""),
        ] {
            let lines = loads(declared, parameters, load);
            assert!(lines.contains(&load.to_owned()), "{declared}{parameters}: {lines:?}");
        }
    }
}
