//! Faults: a `Check` is a compare and a branch; what it branches to stands after the body, out of the way.

use super::{Writer, result};
use crate::ir::SiteId;
use ringkernel_backends::abi::{FaultKind, tag};

/// The exits a handler needs so far, one for each kind at each site.
#[derive(Default)]
pub(super) struct Faults(Vec<(FaultKind, SiteId)>);

impl Writer<'_> {
    /// The label to branch to.
    pub(super) fn fault_label(&mut self, kind: FaultKind, site: SiteId) -> String {
        let exits = &mut self.faults.0;
        let index = exits.iter().position(|exit| *exit == (kind, site)).unwrap_or_else(|| {
            exits.push((kind, site));
            exits.len() - 1
        });
        format!("FAULT_{index}")
    }

    /// The exits themselves.
    pub(super) fn fault_exits(&mut self) {
        let exits = std::mem::take(&mut self.faults.0);
        if exits.is_empty() {
            return;
        }
        for (index, (kind, site)) in exits.iter().enumerate() {
            self.label(&format!("FAULT_{index}"));
            let line = self
                .kernel
                .sites
                .get(site.0 as usize)
                .map(|at| format!(", line {}", at.line))
                .unwrap_or_default();
            self.line(format!("mov.b32 %w0, {}; // {kind}{line}", *kind as u32));
            self.line(format!("mov.b32 %w1, {};", site.0));
            if index + 1 < exits.len() {
                self.line("bra FAULT;");
            }
        }
        self.label("FAULT");
        self.line("st.u32 [%reply], %w0;");
        self.line("st.u32 [%reply+4], %w1;");
        self.line(format!("st.param.b64 [result], {};", result(tag::FAULT, 8)));
        self.line("ret;");
    }
}
