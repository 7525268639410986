//! Which kernel's sends go where: routes and peers, set as kernels come and go, and by hand.
//!
//! One lock orders all changes, so that of two kernels that end, or one that ends while another is connected to it, each finds what the
//! other left. Devices are told under it, which may take them a moment. So nobody takes it who must not wait: not those who
//! deliver replies, and nobody who holds it waits for a [turn](crate::lifecycle) of a kernel.
//!
//! Whoever is told of a kernel keeps that kernel's memory until it was told that the kernel is gone: the [`Link`]s here do. A kernel
//! that cannot be told, because it hangs, keeps it until it has ended itself; one whose device was given up on, for ever.

use super::Via;
use crate::RingKernelError;
use crate::live::LiveKernel;
use ringkernel_backends::kernel::{DeviceError, Kernel};
use ringkernel_backends::mesh::{KernelNumber, Overflow, Target};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

static BOARD: Mutex<Board> = Mutex::new(Board { nodes: Vec::new() });

/// The kernels that are launched, in the order in which they were.
struct Board {
    nodes: Vec<Node>,
}

struct Node {
    number: KernelNumber,
    live: std::sync::Weak<LiveKernel>,
    /// Nothing is connected to it any more.
    closing: bool,
    routes: Box<[Option<Link>]>,
    peers: Vec<Link>,
}

/// What a kernel's device was told of another.
struct Link {
    to: KernelNumber,
    via: Via,
    /// Not to go before the device was told so.
    _kernel: Arc<dyn Kernel>,
}

fn board() -> MutexGuard<'static, Board> {
    BOARD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn board_by(until: Instant) -> Option<MutexGuard<'static, Board>> {
    loop {
        match BOARD.try_lock() {
            Ok(board) => return Some(board),
            Err(TryLockError::Poisoned(board)) => return Some(board.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => return None,
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_micros(200)),
        }
    }
}

/// Tells a device of another kernel, by way of the host where they do not reach each other.
fn introduce(
    to: &Arc<LiveKernel>,
    tell: impl Fn(Target<'_>) -> Result<(), DeviceError>,
) -> Result<Link, DeviceError> {
    let link = |via| Link { to: to.number(), via, _kernel: to.kernel.clone() };
    match tell(Target::Kernel(&to.kernel)) {
        Ok(()) => Ok(link(Via::Device)),
        Err(DeviceError::NotConnected { .. }) => {
            tell(Target::Host(to.number()))?;
            Ok(link(Via::Host))
        }
        Err(error) => Err(error),
    }
}

impl Board {
    fn node(&mut self, number: KernelNumber) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.number == number)
    }

    /// The kernels that something can be connected to.
    fn open(&self) -> Vec<Arc<LiveKernel>> {
        let open = self.nodes.iter().filter(|node| !node.closing);
        open.filter_map(|node| node.live.upgrade()).filter(|live| !live.has_ended()).collect()
    }

    /// Points a route somewhere, the way back first.
    fn link(
        &mut self,
        from: &Arc<LiveKernel>,
        route: usize,
        to: &Arc<LiveKernel>,
        gone: &mut Vec<Link>,
    ) -> Result<(), DeviceError> {
        self.make_peer(to, from)?;
        // A reply may be replied to.
        self.make_peer(from, to)?;
        let link = introduce(to, |target| from.kernel.connect(route, target))?;
        from.place.leads()[route] = Some((link.to, link.via));
        // What is forwarded to it is answered through its own rings.
        to.place.will_speak();
        to.bridge.iter().for_each(|bridge| bridge.wake());
        if let Some(node) = self.node(from.number()) {
            gone.extend(node.routes[route].replace(link));
        }
        Ok(())
    }

    /// Says to a kernel where another is that will send, or reply, to it.
    fn make_peer(&mut self, of: &Arc<LiveKernel>, sender: &Arc<LiveKernel>) -> Result<(), DeviceError> {
        let number = sender.number();
        // Handlers that send nothing do not reply either; but a receiver that spills knows its senders.
        let silent = sender.descriptor.mesh.outgoing.is_empty()
            || (of.descriptor.mesh.outgoing.is_empty() && of.overflow != Overflow::Spill);
        let Some(node) = self.node(of.number()) else { return Ok(()) };
        if silent || node.peers.iter().any(|peer| peer.to == number) {
            return Ok(());
        }
        match introduce(sender, |target| of.kernel.set_peer(number, target)) {
            Ok(link) => node.peers.push(link),
            // Its replies will say that there is nobody.
            Err(DeviceError::NotConnected { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Makes one kernel's routes that lead to `number` lead nowhere. Says how many did, and the first error: what the device could not be
    /// told of, it keeps the memory of.
    fn unlink(
        &mut self,
        from: &LiveKernel,
        number: KernelNumber,
        gone: &mut Vec<Link>,
    ) -> (usize, Result<(), DeviceError>) {
        let Some(node) = self.node(from.number()) else { return (0, Ok(())) };
        let (mut routes, mut result) = (0, Ok(()));
        for (route, place) in node.routes.iter_mut().enumerate() {
            if place.as_ref().is_none_or(|link| link.to != number) {
                continue;
            }
            let lead = from.place.leads()[route].take();
            routes += usize::from(lead.is_some());
            // One that hangs or is lost does not listen.
            if !from.has_ended() {
                match from.kernel.connect(route, Target::Nobody) {
                    Ok(()) => gone.extend(place.take()),
                    Err(error) => result = result.and(Err(error)),
                }
            }
        }
        (routes, result)
    }

    /// Says to a kernel that another is gone, which sent to it.
    fn part(&mut self, from: &LiveKernel, number: KernelNumber, gone: &mut Vec<Link>) {
        let Some(node) = self.node(from.number()) else { return };
        let Some(at) = node.peers.iter().position(|peer| peer.to == number) else { return };
        if !from.has_ended() && from.kernel.set_peer(number, Target::Nobody).is_ok() {
            gone.push(node.peers.swap_remove(at));
        }
    }
}

/// Connects a kernel that was just launched: where its routes lead, and those of others that led nowhere. Nobody but the caller can
/// [terminate](LiveKernel::terminate) it yet; should it have been lost, its [`cut`] comes later, or came and there is nothing to connect.
///
/// # Errors
/// What a device says, other than that kernels do not reach each other; those stay unconnected.
pub(crate) fn join(live: &Arc<LiveKernel>) -> Result<(), RingKernelError> {
    let mut gone = Vec::new();
    let mut board = board();
    let dead = |node: &mut Node| node.live.strong_count() == 0;
    let dead: Vec<_> = board.nodes.extract_if(.., dead).collect();
    let routes = live.descriptor.mesh.routes;
    board.nodes.push(Node {
        number: live.number(),
        live: Arc::downgrade(live),
        closing: false,
        routes: routes.iter().map(|_| None).collect(),
        peers: Vec::new(),
    });
    let others: Vec<_> = board.open().into_iter().filter(|other| other.is_beside(live)).collect();
    let linked = (|| {
        if live.has_ended() {
            return Ok(());
        }
        // Its own first: a message from one of the others may come as soon as that is told of it.
        for (route, wanted) in routes.iter().enumerate() {
            // Itself before its namesakes.
            let itself = others.iter().find(|other| Arc::ptr_eq(other, live) && other.id() == wanted.id);
            let to = itself.or_else(|| others.iter().find(|other| other.id() == wanted.id));
            if let Some(to) = to {
                tolerate(board.link(live, route, to, &mut gone), to)?;
            }
        }
        for from in others.iter().filter(|from| !Arc::ptr_eq(from, live)) {
            for (route, wanted) in from.descriptor.mesh.routes.iter().enumerate() {
                if wanted.id == live.id() && from.place.leads()[route].is_none() {
                    tolerate(board.link(from, route, live, &mut gone), from)?;
                }
            }
        }
        Ok(())
    })();
    // First: dropping the last handle to a kernel is not to happen under the lock.
    drop(board);
    drop((dead, gone));
    linked.map_err(|error| RingKernelError::from_device(live.id(), error))
}

/// A launch does not fail because another kernel cannot be connected to.
fn tolerate(linked: Result<(), DeviceError>, other: &LiveKernel) -> Result<(), DeviceError> {
    match linked {
        Err(
            DeviceError::NotConnected { .. }
            | DeviceError::Terminated
            | DeviceError::Lost { .. }
            // A handler of the other's that takes its time, or hangs.
            | DeviceError::Deadline { .. },
        ) => Ok(()),
        Err(_) if other.has_ended() => Ok(()),
        linked => linked,
    }
}

/// Tells everybody that the kernel is gone. What was sent to it before stays where it is. Idempotent.
pub(crate) fn cut(number: KernelNumber) {
    cut_from(board(), number);
}

/// [`cut`], now or, where somebody else takes too long about the board, as soon as that is possible.
pub(crate) fn cut_by(number: KernelNumber, until: Instant) {
    match board_by(until) {
        Some(board) => cut_from(board, number),
        None => cut_later(number),
    }
}

/// [`cut`], on a thread that may wait.
pub(crate) fn cut_later(number: KernelNumber) {
    blocking::unblock(move || cut(number)).detach();
}

fn cut_from(mut board: MutexGuard<'static, Board>, number: KernelNumber) {
    match board.node(number) {
        Some(node) => node.closing = true,
        None => return,
    }
    let mut gone = Vec::new();
    let all: Vec<_> = board.nodes.iter().filter_map(|node| node.live.upgrade()).collect();
    for other in &all {
        // One that could not be told keeps the memory, and nobody is the wiser for an error.
        let _ = board.unlink(other, number, &mut gone);
        board.part(other, number, &mut gone);
    }
    // First: dropping a kernel may take a moment, or the lock.
    drop(board);
}

/// The kernel has ended, or was given up on: what it knew of the others may go, unless it may still be sending. Now or, where somebody else
/// takes too long about the board, as soon as that is possible.
pub(crate) fn leave_by(number: KernelNumber, given_up: bool, until: Instant) {
    match board_by(until) {
        Some(board) => leave(board, number, given_up),
        None => blocking::unblock(move || leave(board(), number, given_up)).detach(),
    }
}

fn leave(mut board: MutexGuard<'static, Board>, number: KernelNumber, given_up: bool) {
    let at = board.nodes.iter().position(|node| node.number == number);
    let node = at.map(|at| board.nodes.remove(at));
    drop(board);
    if given_up {
        std::mem::forget(node);
    }
}

/// All kernels of the process that are launched; none where that takes too long.
pub(crate) fn everybody(until: Instant) -> Vec<Arc<LiveKernel>> {
    let board = board_by(until);
    let nodes = board.iter().flat_map(|board| &board.nodes);
    nodes.filter_map(|node| node.live.upgrade()).collect()
}

/// Points the route of `from` that is named after `to` at it, wherever it led before.
pub(crate) fn connect(from: &Arc<LiveKernel>, to: &Arc<LiveKernel>) -> Result<(), RingKernelError> {
    let routes = routes_to(from, to)?;
    let mut gone = Vec::new();
    let mut board = board();
    let open = |board: &mut Board, live: &LiveKernel| match board.node(live.number()) {
        Some(node) if !node.closing && !live.has_ended() => Ok(()),
        _ => Err(live.ended_error(false)),
    };
    open(&mut board, from)?;
    open(&mut board, to)?;
    for route in routes {
        board.link(from, route, to, &mut gone).map_err(|error| RingKernelError::CannotConnect {
            from: from.id(),
            to: to.id(),
            error,
        })?;
    }
    // First: see `join`.
    drop(board);
    Ok(())
}

/// Makes the routes of `from` that lead to `to` lead nowhere.
pub(crate) fn disconnect(from: &Arc<LiveKernel>, to: &Arc<LiveKernel>) -> Result<(), RingKernelError> {
    routes_to(from, to)?;
    let mut gone = Vec::new();
    let mut board = board();
    let (routes, told) = board.unlink(from, to.number(), &mut gone);
    drop(board);
    let (from, to) = (from.id(), to.id());
    match (routes, told) {
        (_, Err(error)) => Err(RingKernelError::CannotConnect { from, to, error }),
        (0, Ok(())) => Err(RingKernelError::NotConnected { from, to }),
        (_, Ok(())) => Ok(()),
    }
}

/// The routes of a kernel that are named after another.
fn routes_to(from: &LiveKernel, to: &LiveKernel) -> Result<Vec<usize>, RingKernelError> {
    let routes = from.descriptor.mesh.routes;
    let found: Vec<_> = (0..routes.len()).filter(|&route| routes[route].id == to.id()).collect();
    if found.is_empty() {
        let routes = routes.iter().map(|route| route.id).collect();
        return Err(RingKernelError::NoRoute { from: from.id(), to: to.id(), routes });
    }
    Ok(found)
}
