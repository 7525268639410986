//! Passes: IR in, better IR out, with the same meaning and the same invariants.
//!
//! Each is a file, and says why it is there. [`run`] is the order. They may use [`crate::ir_visit`] to walk and
//! [`crate::ir_eval`] to compute; they know nothing of any device.

mod algebra;
mod bounds;
mod dead;
mod memory;
mod promote;
mod scoped;
mod simplify;
mod strength;
#[cfg(test)]
mod tests;

use crate::ir::Kernel;

/// Runs every pass over every handler.
pub(crate) fn run(kernel: &mut Kernel) {
    for handler in &mut kernel.handlers {
        let body = &mut handler.body;
        // What one round finds (a branch that is never taken, an index that is constant) lets the next find more; two or three are
        // enough in practice.
        for _ in 0..4 {
            let before = body.code.clone();
            promote::run(body);
            simplify::run(body);
            dead::run(body);
            if body.code == before {
                break;
            }
        }
        strength::run(body);
        simplify::run(body);
        dead::run(body);
    }
}
