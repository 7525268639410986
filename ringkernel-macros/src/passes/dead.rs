//! Registers and variables that no one reads go.
//!
//! Why: the other passes leave them behind, and what is printed is meant to be read. (ptxas would drop them too.)

use crate::ir::{Body, Expr, Operand, Reg, Stmt, Var};
use crate::ir_visit;
use std::collections::HashSet;

pub(super) fn run(body: &mut Body) {
    loop {
        let mut regs = HashSet::new();
        ir_visit::operands(&body.code, &mut |operand| {
            if let Operand::Reg(reg) = operand {
                regs.insert(*reg);
            }
        });
        let mut vars = HashSet::new();
        ir_visit::statements(&body.code, &mut |statement| {
            if let Stmt::Let(_, Expr::Read(var)) = statement {
                vars.insert(*var);
            }
        });
        if !sweep(&mut body.code, &regs, &vars) {
            return;
        }
    }
}

/// Removes what is in neither set; says whether anything went.
fn sweep(code: &mut Vec<Stmt>, regs: &HashSet<Reg>, vars: &HashSet<Var>) -> bool {
    let before = code.len();
    // Expressions are pure, loads too.
    code.retain(|statement| match statement {
        Stmt::Let(reg, _) => regs.contains(reg),
        Stmt::Set(var, _) => vars.contains(var),
        _ => true,
    });
    let mut changed = code.len() != before;
    for statement in code {
        for block in ir_visit::blocks_mut(statement) {
            changed |= sweep(block, regs, vars);
        }
    }
    changed
}
