//! The user's names, made fit for the device languages.

use crate::ir::{Body, Handler, Kernel, Local, Reg, Var};

/// An identifier that every device language takes, out of one that Rust takes.
fn identifier(name: &str) -> String {
    let name = name.trim_start_matches("r#");
    let mut out: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    // WGSL reserves names that start with two underscores, and both languages refuse a digit in front.
    if out.starts_with("__") || !out.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        out.insert(0, 'x');
    }
    out
}

/// A register's name: the user's with its number (so that no two clash, and none is a keyword), or `r` and the number.
pub(crate) fn reg(body: &Body, reg: Reg) -> String {
    match &body.regs[reg.0 as usize].name {
        Some(name) => format!("{}_{}", identifier(name), reg.0),
        None => format!("r{}", reg.0),
    }
}

/// A variable's name. The `v` keeps it apart from a register's.
pub(crate) fn var(body: &Body, var: Var) -> String {
    format!("{}_v{}", identifier(&body.vars[var.0 as usize].name), var.0)
}

/// A local aggregate's name.
pub(crate) fn local(body: &Body, local: Local) -> String {
    format!("local_{}_{}", identifier(&body.locals[local.0 as usize].name), local.0)
}

/// The device function of a handler.
pub(crate) fn function(kernel: &Kernel, handler: &Handler) -> String {
    let mut name = format!("{}_{}", identifier(&kernel.actor), identifier(&handler.name));
    // `größe` and `gr__e` are two names in Rust. Of two functions of one name, a device would run the wrong one.
    let alike = |other: &&Handler| identifier(&other.name) == identifier(&handler.name);
    let before = kernel.handlers.iter().take_while(|other| other.name != handler.name).filter(alike).count();
    if before > 0 {
        name = format!("{name}_{before}_");
    }
    // The framework's own names start so.
    if name.starts_with("rk_") || name.starts_with("ringkernel_") { format!("actor_{name}") } else { name }
}

/// Text that fits a `//` comment: one line of printable ASCII (ptxas takes nothing else, even in comments).
pub(crate) fn comment(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            ' '..='~' => c,
            c if c.is_whitespace() => ' ',
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_whose_names_become_alike_are_kept_apart() {
        let body = || crate::emit::testing::control().handlers.remove(0).body;
        let names = ["größe", "gr__e", "other", "grüße"];
        let kernel = crate::emit::testing::kernel(names.into_iter().map(|name| (name, body())).collect());
        let names: Vec<String> = kernel.handlers.iter().map(|handler| function(&kernel, handler)).collect();
        assert_eq!(names, ["Subject_gr__e", "Subject_gr__e_1_", "Subject_other", "Subject_gr__e_2_"]);
    }

    #[test]
    fn names_are_fit_for_every_device_language() {
        assert_eq!(identifier("cents"), "cents");
        assert_eq!(identifier("r#match"), "match");
        assert_eq!(identifier("größe"), "gr__e");
        assert_eq!(identifier("__x"), "x__x");
        assert_eq!(identifier("0"), "x0");
        assert_eq!(comment("a\n\tb\u{2028}é"), "a  b ?");
    }
}
