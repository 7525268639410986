//! What the end of the chain makes of collected tokens.

use super::*;
use crate::ir::{Body, Const, Handler, Layout, Operand, Scalar};
use ringkernel_backends::abi::FaultKind;
use ringkernel_backends::abi::tag;

fn site(line: u32) -> Site {
    Site { file: "a.rs".into(), line, column: 1, message: String::new() }
}

fn check(site: u32) -> Stmt {
    Stmt::Check { failed: Operand::Const(Const::bool(true)), kind: FaultKind::Overflow, site: SiteId(site) }
}

fn kernel(sites: Vec<Site>, code: Vec<Stmt>) -> Kernel {
    let body = Body { regs: vec![], vars: vec![], locals: vec![], labels: 1, index: Scalar::U64, code };
    let handler = Handler {
        name: "a".into(),
        message: "M".into(),
        tag: 300,
        message_layout: Layout { size: 0, align: 1 },
        reply: "()".into(),
        reply_tag: tag::UNIT,
        reply_layout: Layout { size: 0, align: 1 },
        message_bools: vec![],
        body,
    };
    Kernel {
        actor: "A".into(),
        id: "a".into(),
        state: Layout { size: 0, align: 1 },
        handlers: vec![handler],
        sites,
        mesh: crate::ir::Mesh::default(),
    }
}

#[test]
fn two_kernels_share_one_table_of_sites() {
    let mut first = kernel(vec![site(1), site(2)], vec![check(1), Stmt::Finish]);
    let inner = Stmt::If {
        condition: Operand::Const(Const::bool(true)),
        then: vec![check(0)],
        otherwise: vec![Stmt::Block { label: crate::ir::Label(0), body: vec![check(1)] }],
    };
    let mut second = kernel(vec![site(3), site(2)], vec![inner, Stmt::Finish]);
    let sites = share_sites(&mut first, &mut second);
    assert_eq!(sites, [site(1), site(2), site(3)]);
    assert_eq!(first.handlers[0].body.code[0], check(1));
    let Stmt::If { then, otherwise, .. } = &second.handlers[0].body.code[0] else { panic!("not an if") };
    assert_eq!(then[0], check(2));
    let Stmt::Block { body, .. } = &otherwise[0] else { panic!("not a block") };
    assert_eq!(body[0], check(1));
    assert_eq!((first.sites, second.sites), (sites.clone(), sites));
}

#[test]
fn texts_are_emitted_line_by_line_and_once_where_profiles_agree() {
    assert_eq!(text_literal("a\nb\n").to_string(), "r\"a\nb\n\"");
    assert_eq!(text_literal("say \"#1\"").to_string(), "r##\"say \"#1\"\"##");
    assert_eq!(text_literal("a\rb").to_string(), "\"a\\rb\"");
    assert_eq!(by_profile(quote!(1), quote!(1)).to_string(), "1");
    assert!(by_profile(quote!(1), quote!(2)).to_string().contains("debug_assertions"));
}
