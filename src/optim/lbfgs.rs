//! L-BFGS: Newton's method with what a few steps have shown of the curvature.

use super::search::{Answer, Reason, Search};
use super::{OptimizerError, Show, Stateful, Visit, halves, require};
use crate::kernel::{self, Lanes, Map};

/// Limited-memory BFGS, as `torch.optim.LBFGS`: a [`Search`] to be given to
/// [`Tape::minimize`](crate::Tape::minimize), which is one `step(closure)` of PyTorch's.
///
/// ```text
/// y ← g − g of the iteration before,  s ← the step since then
/// d ← −H · g, with H from the last M pairs (y, s) where y · s > 1e-10
/// p ← p + t · d,  t = lr, in the first iteration min(1, 1 / Σ|g|) · lr;
///                 with strong_wolfe searched for along d
/// ```
///
/// D. C. Liu and J. Nocedal, "On the limited memory BFGS method for large scale
/// optimization", Mathematical Programming 45 (1989); the line search is that of M.
/// Schmidt's minFunc, as in PyTorch: a bracket, then zoomed into by cubic interpolation,
/// until the strong Wolfe conditions hold (J. Nocedal and S. Wright, "Numerical
/// Optimization" (2006), algorithms 3.5 and 3.6, with c₁ = 1e-4 and c₂ = 0.9).
///
/// | | default |
/// | --- | --- |
/// | [`max_iter`](Self::max_iter) | 20 iterations in a call |
/// | [`max_eval`](Self::max_eval) | 5/4 as many evaluations |
/// | [`tolerance_grad`](Self::tolerance_grad) | 1e-7 |
/// | [`tolerance_change`](Self::tolerance_change) | 1e-9 |
/// | [`strong_wolfe`](Self::strong_wolfe) | off: every step is `lr` long |
/// | [`maximize`](Self::maximize) | off |
///
/// `N` is the number of parameters that there is room for inline, `M` the pairs that are
/// remembered (PyTorch's `history_size`, there 100; 5 to 10 are usual): `4 · N · (2 M + 5) +
/// 8 M` bytes and some scalars.
///
/// Losses and slopes are `f32`, and compared as such, so that a step which a loss cannot
/// resolve passes for one that lowers it: gradients still say where to.
#[derive(Clone, Debug)]
pub struct Lbfgs<const N: usize, const M: usize, S = LbfgsMemory<N, M>> {
    search: Machine,
    memory: S,
}

/// The memory of [`Lbfgs`]: implemented by [`LbfgsMemory`], `&mut [f32]` and, with the
/// feature `std`, `Vec<f32>`.
pub trait LbfgsStorage {
    /// Lends memory for vectors, for pairs, and for two numbers for each of `history`
    /// pairs.
    fn lend(&mut self, history: usize) -> [&mut [f32]; 3];
}

/// Memory for [`Lbfgs`], inline.
#[derive(Clone, Debug)]
pub struct LbfgsMemory<const N: usize, const M: usize> {
    vectors: [[f32; N]; VECTORS],
    pairs: [[[f32; N]; 2]; M],
    scalars: [[f32; 2]; M],
}

impl<const N: usize, const M: usize> LbfgsStorage for LbfgsMemory<N, M> {
    fn lend(&mut self, _: usize) -> [&mut [f32]; 3] {
        [
            self.vectors.as_flattened_mut(),
            self.pairs.as_flattened_mut().as_flattened_mut(),
            self.scalars.as_flattened_mut(),
        ]
    }
}

impl LbfgsStorage for &mut [f32] {
    fn lend(&mut self, history: usize) -> [&mut [f32]; 3] {
        let history = history.min(self.len() / 2);
        let (scalars, rest) = self
            .split_at_mut_checked(history.saturating_mul(2))
            .unwrap_or_default();
        let room = rest.len() / history.saturating_mul(2).saturating_add(VECTORS);
        let (vectors, pairs) = rest
            .split_at_mut_checked(room.saturating_mul(VECTORS))
            .unwrap_or_default();
        [vectors, pairs, scalars]
    }
}

#[cfg(feature = "std")]
impl LbfgsStorage for std::vec::Vec<f32> {
    fn lend(&mut self, history: usize) -> [&mut [f32]; 3] {
        // As above; a method call on a temporary could not be returned.
        let history = history.min(self.len() / 2);
        let (scalars, rest) = self.split_at_mut(2 * history);
        let room = rest.len() / (2 * history + VECTORS);
        let (vectors, pairs) = rest.split_at_mut(room * VECTORS);
        [vectors, pairs, scalars]
    }
}

/// Vectors as long as the parameters, besides the pairs.
const VECTORS: usize = 5;

impl<const N: usize, const M: usize> Lbfgs<N, M> {
    /// L-BFGS with steps of length `lr` (PyTorch's default is 1), and memory for up to `N`
    /// parameters and `M` pairs inline.
    #[must_use]
    pub const fn new(lr: f32) -> Self {
        Self {
            search: Machine::new(lr, M),
            memory: const {
                LbfgsMemory {
                    vectors: [[0.0; N]; VECTORS],
                    pairs: [[[0.0; N]; 2]; M],
                    scalars: [[0.0; 2]; M],
                }
            },
        }
    }
}

#[cfg(feature = "std")]
impl Lbfgs<0, 0, std::vec::Vec<f32>> {
    /// L-BFGS with steps of length `lr`, and memory for up to `params` parameters and
    /// `history` pairs on the heap.
    #[must_use]
    pub fn on_heap(lr: f32, params: usize, history: usize) -> Self {
        Self {
            search: Machine::new(lr, history),
            memory: std::vec![0.0; params * (2 * history + VECTORS) + 2 * history],
        }
    }
}

impl<'s> Lbfgs<0, 0, &'s mut [f32]> {
    /// L-BFGS with steps of length `lr`, and memory in a slice of the caller's: `(2 m + 5) n
    /// + 2 m` floats for `n` parameters and `m = history` pairs. It is zeroed.
    #[must_use]
    pub fn with_state(lr: f32, history: usize, memory: &'s mut [f32]) -> Self {
        memory.fill(0.0);
        Self {
            search: Machine::new(lr, history),
            memory,
        }
    }
}

impl<const N: usize, const M: usize, S> Lbfgs<N, M, S> {
    /// At most so many iterations before the search ends, at least 1.
    #[must_use]
    pub const fn max_iter(mut self, iterations: u32) -> Self {
        self.search.hyper.max_iter = iterations;
        self
    }

    /// At most so many evaluations before the search ends, which is looked at once an
    /// iteration is over.
    #[must_use]
    pub const fn max_eval(mut self, evaluations: u32) -> Self {
        self.search.hyper.max_eval = Some(evaluations);
        self
    }

    /// A gradient no element of which is larger is flat.
    #[must_use]
    pub const fn tolerance_grad(mut self, tolerance: f32) -> Self {
        self.search.hyper.tolerance_grad = tolerance;
        self
    }

    /// Losses, parameters and slopes that change less do not change.
    #[must_use]
    pub const fn tolerance_change(mut self, tolerance: f32) -> Self {
        self.search.hyper.tolerance_change = tolerance;
        self
    }

    /// Searches along every direction for a step after which the loss is less by enough
    /// and its slope is flatter, in up to 25 evaluations.
    #[must_use]
    pub const fn strong_wolfe(mut self) -> Self {
        self.search.hyper.strong_wolfe = true;
        self
    }

    /// Climbs instead of descending.
    #[must_use]
    pub const fn maximize(mut self) -> Self {
        self.search.hyper.maximize = true;
        self
    }

    /// The length of steps, with which a line search begins.
    pub const fn learning_rate(&self) -> f32 {
        self.search.hyper.lr
    }

    /// Sets the length of steps.
    pub const fn set_learning_rate(&mut self, lr: f32) {
        self.search.hyper.lr = lr;
    }

    /// How often it was told a loss, in all.
    pub const fn evaluations(&self) -> u32 {
        self.search.now.func_evals
    }

    /// Forgets all that it has learned; hyper-parameters stay.
    pub const fn reset(&mut self) {
        self.search.now = Now::START;
    }
}

impl<const N: usize, const M: usize, S: LbfgsStorage> Search for Lbfgs<N, M, S> {
    fn tell(
        &mut self,
        params: &mut [f32],
        loss: f32,
        grads: &[f32],
    ) -> Result<Answer, OptimizerError> {
        let mut memory = Memory::new(
            self.memory.lend(self.search.history),
            params.len(),
            self.search.history,
        )?;
        self.search.tell(&mut memory, params, loss, grads)
    }
}

impl<const N: usize, const M: usize, S: LbfgsStorage> Stateful for Lbfgs<N, M, S> {
    fn visit_state(&mut self, params: usize, visit: Visit<'_>) -> Result<(), OptimizerError> {
        let history = self.search.history;
        let memory = Memory::new(self.memory.lend(history), params, history)?;
        let mut lr = [self.search.hyper.lr];
        visit("lr", &mut lr);
        [self.search.hyper.lr] = lr;
        self.search.now.visit(visit);
        visit("ro", memory.ro);
        visit("al", memory.al);
        visit("d", memory.d);
        visit("prev_flat_grad", memory.prev);
        visit("x", memory.x);
        let [low, high] = memory.bracket;
        visit("bracket_g0", low);
        visit("bracket_g1", high);
        visit("old_dirs", memory.dirs);
        visit("old_stps", memory.stps);
        Ok(())
    }

    fn visit_hyper(&self, show: Show<'_>) {
        let Machine { hyper, history, .. } = &self.search;
        let flag = |is_set| f32::from(u8::from(is_set));
        show("LBFGS", &[]);
        show("history_size", &[*history as f32]);
        show("max_iter", &halves(hyper.max_iter));
        match hyper.max_eval {
            Some(most) => show("max_eval", &halves(most)),
            None => show("max_eval", &[-1.0]),
        }
        show("tolerance_grad", &[hyper.tolerance_grad]);
        show("tolerance_change", &[hyper.tolerance_change]);
        show("strong_wolfe", &[flag(hyper.strong_wolfe)]);
        show("maximize", &[flag(hyper.maximize)]);
    }
}

/// The memory, cut for so many parameters.
struct Memory<'m> {
    /// Direction.
    d: &'m mut [f32],
    /// Gradient of the iteration before.
    prev: &'m mut [f32],
    /// Where the line search began.
    x: &'m mut [f32],
    /// Gradients at both ends of the bracket.
    bracket: [&'m mut [f32]; 2],
    /// Differences of gradients, a ring.
    dirs: &'m mut [f32],
    /// Differences of parameters, a ring.
    stps: &'m mut [f32],
    ro: &'m mut [f32],
    al: &'m mut [f32],
}

impl<'m> Memory<'m> {
    fn new(
        [vectors, pairs, scalars]: [&'m mut [f32]; 3],
        n: usize,
        history: usize,
    ) -> Result<Self, OptimizerError> {
        let room = vectors.len() / VECTORS;
        let fits = n <= room
            && pairs.len() >= n.saturating_mul(history).saturating_mul(2)
            && scalars.len() >= history.saturating_mul(2);
        if !fits {
            return Err(OptimizerError::StateSize {
                state: room,
                params: n,
            });
        }
        let mut rest = vectors;
        let mut vector = || {
            let (vector, others) = core::mem::take(&mut rest)
                .split_at_mut_checked(n)
                .unwrap_or_default();
            rest = others;
            vector
        };
        let [d, prev, x, low, high] = [vector(), vector(), vector(), vector(), vector()];
        let pairs = pairs
            .get_mut(..n.saturating_mul(history).saturating_mul(2))
            .unwrap_or_default();
        let (dirs, stps) = pairs
            .split_at_mut_checked(n.saturating_mul(history))
            .unwrap_or_default();
        let (ro, al) = scalars.split_at_mut_checked(history).unwrap_or_default();
        let al = al.get_mut(..history).unwrap_or_default();
        Ok(Self {
            d,
            prev,
            x,
            bracket: [low, high],
            dirs,
            stps,
            ro,
            al,
        })
    }
}

/// All but memory.
#[derive(Clone, Debug)]
struct Machine {
    hyper: Hyper,
    /// How many pairs there is room for.
    history: usize,
    now: Now,
}

#[derive(Clone, Debug)]
struct Hyper {
    lr: f32,
    max_iter: u32,
    max_eval: Option<u32>,
    tolerance_grad: f32,
    tolerance_change: f32,
    strong_wolfe: bool,
    maximize: bool,
}

/// The use of the next loss.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// A new call.
    Begin,
    /// A step of given length.
    Stepped,
    /// The line search looks for an interval.
    Bracket,
    /// The line search has an interval.
    Zoom,
}

/// A point on the line that is searched.
#[derive(Clone, Copy, Debug)]
struct Point {
    t: f32,
    loss: f32,
    slope: f32,
}

impl Point {
    const START: Self = Point {
        t: 0.0,
        loss: 0.0,
        slope: 0.0,
    };
}

/// All that changes from loss to loss.
#[derive(Clone, Debug)]
struct Now {
    phase: Phase,
    /// Iterations and evaluations of this call.
    iter: u32,
    evals: u32,
    /// Iterations and evaluations of all calls.
    n_iter: u32,
    func_evals: u32,
    /// Pairs that there are, and where the oldest of them is.
    pairs: u32,
    oldest: u32,
    h_diag: f32,
    t: f32,
    /// Where the iteration began.
    prev_loss: f32,
    slope: f32,
    /// The line search: iterations, its bracket and which end of it is lower, and whether
    /// the last point was too close to an end.
    ls_iter: u32,
    bracket: [Point; 2],
    low: bool,
    insufficient: bool,
}

impl Now {
    const START: Self = Now {
        phase: Phase::Begin,
        iter: 0,
        evals: 0,
        n_iter: 0,
        func_evals: 0,
        pairs: 0,
        oldest: 0,
        h_diag: 1.0,
        t: 0.0,
        prev_loss: 0.0,
        slope: 0.0,
        ls_iter: 0,
        bracket: [Point::START; 2],
        low: false,
        insufficient: false,
    };

    fn visit(&mut self, visit: Visit<'_>) {
        // 24 bits at a time are exact.
        let split = |n: u32| [(n >> 16) as f32, (n & 0xffff) as f32];
        let join = |[high, low]: [f32; 2]| (high as u32) << 16 | (low as u32 & 0xffff);
        for (name, count) in [
            ("n_iter", &mut self.n_iter),
            ("func_evals", &mut self.func_evals),
            ("iter", &mut self.iter),
            ("evals", &mut self.evals),
            ("pairs", &mut self.pairs),
            ("oldest", &mut self.oldest),
            ("ls_iter", &mut self.ls_iter),
        ] {
            let mut halves = split(*count);
            visit(name, &mut halves);
            *count = join(halves);
        }
        let phases = [Phase::Begin, Phase::Stepped, Phase::Bracket, Phase::Zoom];
        let at = phases.iter().position(|phase| *phase == self.phase);
        let mut flags = [
            at.unwrap_or_default() as f32,
            f32::from(u8::from(self.low)),
            f32::from(u8::from(self.insufficient)),
        ];
        visit("phase", &mut flags);
        let [phase, low, insufficient] = flags;
        self.phase = phases.get(phase as usize).copied().unwrap_or(Phase::Begin);
        self.low = low != 0.0;
        self.insufficient = insufficient != 0.0;
        let [first, second] = &mut self.bracket;
        for (name, number) in [
            ("H_diag", &mut self.h_diag),
            ("t", &mut self.t),
            ("prev_loss", &mut self.prev_loss),
            ("gtd", &mut self.slope),
            ("bracket_t0", &mut first.t),
            ("bracket_f0", &mut first.loss),
            ("bracket_gtd0", &mut first.slope),
            ("bracket_t1", &mut second.t),
            ("bracket_f1", &mut second.loss),
            ("bracket_gtd1", &mut second.slope),
        ] {
            let mut one = [*number];
            visit(name, &mut one);
            [*number] = one;
        }
    }
}

/// Evaluations of one line search, less the first.
const MAX_LS: u32 = 25;
/// How much of what the slope promises the loss must fall by.
const C1: f32 = 1e-4;
/// How much flatter the slope must get.
const C2: f32 = 0.9;
/// Brackets in which no parameter moves further are not zoomed into.
const LEAST_BRACKET: f32 = 1e-9;

impl Machine {
    const fn new(lr: f32, history: usize) -> Self {
        Self {
            hyper: Hyper {
                lr,
                max_iter: 20,
                max_eval: None,
                tolerance_grad: 1e-7,
                tolerance_change: 1e-9,
                strong_wolfe: false,
                maximize: false,
            },
            history,
            now: Now::START,
        }
    }

    fn check(&self) -> Result<(), OptimizerError> {
        let hyper = &self.hyper;
        require(hyper.lr >= 0.0, "lr >= 0", hyper.lr)?;
        require(self.history >= 1, "a history of 1 pair or more", 0.0)?;
        require(hyper.max_iter >= 1, "max_iter >= 1", 0.0)?;
        let tolerance = hyper.tolerance_grad;
        require(tolerance >= 0.0, "tolerance_grad >= 0", tolerance)?;
        let tolerance = hyper.tolerance_change;
        require(tolerance >= 0.0, "tolerance_change >= 0", tolerance)
    }

    fn tell(
        &mut self,
        memory: &mut Memory<'_>,
        params: &mut [f32],
        loss: f32,
        grads: &[f32],
    ) -> Result<Answer, OptimizerError> {
        if grads.len() != params.len() {
            return Err(OptimizerError::GradientCount {
                params: params.len(),
                grads: grads.len(),
            });
        }
        self.check()?;
        // To climb is to descend what is turned over. Only signs change on the way.
        let sign = if self.hyper.maximize { -1.0 } else { 1.0 };
        let (loss, now) = (sign * loss, &mut self.now);
        let slope = sign * kernel::dot(grads, memory.d);
        now.func_evals = now.func_evals.saturating_add(1);
        now.evals = now.evals.saturating_add(1);
        let found = Point {
            t: now.t,
            loss,
            slope,
        };
        Ok(match now.phase {
            Phase::Begin => {
                now.iter = 0;
                now.evals = 1;
                scale_into(memory.bracket_mut(0), sign, grads);
                if self.is_flat(memory, 0) {
                    return Ok(Answer::Found(Reason::FlatGradient));
                }
                self.begin_iteration(memory, params, loss, 0)
            }
            Phase::Stepped => {
                scale_into(memory.bracket_mut(0), sign, grads);
                self.end_iteration(memory, params, loss, 0)
            }
            Phase::Bracket => self.bracket(memory, params, found, grads, sign),
            Phase::Zoom => self.zoom(memory, params, found, grads, sign),
        })
    }

    /// Whether the gradient in that buffer is flat.
    fn is_flat(&self, memory: &mut Memory<'_>, at: usize) -> bool {
        largest(memory.bracket_mut(at)) <= self.hyper.tolerance_grad
    }

    /// A direction, and the first step along it. The gradient is in the buffer `at`.
    fn begin_iteration(
        &mut self,
        memory: &mut Memory<'_>,
        params: &mut [f32],
        loss: f32,
        at: usize,
    ) -> Answer {
        if at == 1 {
            let [low, high] = &mut memory.bracket;
            low.copy_from_slice_checked(high);
        }
        let Memory {
            d, prev, bracket, ..
        } = memory;
        let [g, _] = bracket;
        let now = &mut self.now;
        now.iter = now.iter.saturating_add(1);
        let is_first = now.n_iter == 0;
        now.n_iter = now.n_iter.saturating_add(1);
        if is_first {
            scale_into(d, -1.0, g);
            now.pairs = 0;
            now.oldest = 0;
            now.h_diag = 1.0;
        } else {
            let ys = kernel::sum_of(StepDot { t: now.t }, [&**g, prev, d]);
            let pair = Pairs {
                dirs: memory.dirs,
                stps: memory.stps,
                ro: memory.ro,
                al: memory.al,
            };
            pair.direct(now, self.history, ys, [g, prev], d);
        }
        prev.copy_from_slice_checked(g);
        now.prev_loss = loss;
        now.t = if is_first {
            let sum = kernel::sum_of(Magnitude, [&**g]);
            let shorter = 1.0 / sum;
            (if shorter < 1.0 { shorter } else { 1.0 }) * self.hyper.lr
        } else {
            self.hyper.lr
        };
        now.slope = kernel::dot(g, d);
        if now.slope > -self.hyper.tolerance_change {
            return self.found(Reason::NoChange);
        }
        if self.hyper.strong_wolfe {
            memory.x.copy_from_slice_checked(params);
            now.ls_iter = 0;
            let [first, _] = &mut now.bracket;
            *first = Point {
                t: 0.0,
                loss,
                slope: now.slope,
            };
            now.phase = Phase::Bracket;
            move_to(params, memory.x, now.t, memory.d);
            return Answer::Ask;
        }
        for (p, d) in params.iter_mut().zip(d.iter()) {
            *p += now.t * d;
        }
        if now.iter >= self.hyper.max_iter {
            return self.found(Reason::Iterations);
        }
        now.phase = Phase::Stepped;
        Answer::Ask
    }

    fn found(&mut self, reason: Reason) -> Answer {
        self.now.phase = Phase::Begin;
        Answer::Found(reason)
    }

    /// Looks whether to go on from the loss and the gradient in the buffer `at`.
    fn end_iteration(
        &mut self,
        memory: &mut Memory<'_>,
        params: &mut [f32],
        loss: f32,
        at: usize,
    ) -> Answer {
        let (hyper, now) = (&self.hyper, &self.now);
        let max_eval = hyper
            .max_eval
            .unwrap_or(hyper.max_iter.saturating_mul(5) / 4);
        let tolerance = hyper.tolerance_change;
        let reason = if now.iter >= hyper.max_iter {
            Some(Reason::Iterations)
        } else if now.evals >= max_eval {
            Some(Reason::Evaluations)
        } else if self.is_flat(memory, at) {
            Some(Reason::FlatGradient)
        } else if (now.t * largest(memory.d)).abs() <= tolerance
            || (loss - now.prev_loss).abs() < tolerance
        {
            Some(Reason::NoChange)
        } else {
            None
        };
        match reason {
            Some(reason) => self.found(reason),
            None => self.begin_iteration(memory, params, loss, at),
        }
    }

    /// Whether the loss has not fallen enough at that point.
    fn is_too_high(&self, new: Point) -> bool {
        new.loss > self.now.prev_loss + C1 * new.t * self.now.slope
    }

    fn is_flat_enough(&self, new: Point) -> bool {
        new.slope.abs() <= -C2 * self.now.slope
    }

    /// Steps further and further, until there is an interval with a minimum in it.
    fn bracket(
        &mut self,
        memory: &mut Memory<'_>,
        params: &mut [f32],
        new: Point,
        grads: &[f32],
        sign: f32,
    ) -> Answer {
        let [mut last, _] = self.now.bracket;
        let reached = self.now.ls_iter >= MAX_LS;
        if reached {
            // The whole of it, from where it began.
            let [low, _] = &mut memory.bracket;
            low.copy_from_slice_checked(memory.prev);
            last = Point {
                t: 0.0,
                loss: self.now.prev_loss,
                slope: self.now.slope,
            };
        } else if !(self.is_too_high(new) || self.now.ls_iter > 1 && new.loss >= last.loss)
            && (self.is_flat_enough(new) || new.slope < 0.0 || new.slope.is_nan())
        {
            scale_into(memory.bracket_mut(0), sign, grads);
            self.now.bracket = [new; 2];
            if self.is_flat_enough(new) {
                self.now.low = false;
                return self.end_line_search(memory, params);
            }
            let bounds = [new.t + 0.01 * (new.t - last.t), new.t * 10.0];
            self.now.t = cubic_minimum(last, new, bounds);
            self.now.ls_iter = self.now.ls_iter.saturating_add(1);
            move_to(params, memory.x, self.now.t, memory.d);
            return Answer::Ask;
        }
        scale_into(memory.bracket_mut(1), sign, grads);
        self.now.bracket = [last, new];
        self.now.insufficient = false;
        self.now.low = new.loss < last.loss || last.loss.is_nan();
        self.next_zoom(memory, params)
    }

    /// The next point inside the bracket, unless that is good or small enough.
    fn next_zoom(&mut self, memory: &mut Memory<'_>, params: &mut [f32]) -> Answer {
        let [a, b] = self.now.bracket;
        let is_small = (b.t - a.t).abs() * largest(memory.d) < LEAST_BRACKET;
        if self.now.ls_iter >= MAX_LS || is_small {
            return self.end_line_search(memory, params);
        }
        let [least, most] = if a.t <= b.t { [a.t, b.t] } else { [b.t, a.t] };
        let mut t = cubic_minimum(a, b, [least, most]);
        // Too close to an end twice, or at it: a tenth away from it instead.
        let margin = 0.1 * (most - least);
        let (above, below) = (t - least, most - t);
        let is_close = (if below < above { below } else { above }) < margin;
        self.now.insufficient = if is_close && (self.now.insufficient || t >= most || t <= least) {
            t = if below.abs() < above.abs() {
                most - margin
            } else {
                least + margin
            };
            false
        } else {
            is_close
        };
        self.now.t = t;
        self.now.ls_iter = self.now.ls_iter.saturating_add(1);
        self.now.phase = Phase::Zoom;
        move_to(params, memory.x, t, memory.d);
        Answer::Ask
    }

    /// Makes the bracket smaller by a point inside it.
    fn zoom(
        &mut self,
        memory: &mut Memory<'_>,
        params: &mut [f32],
        new: Point,
        grads: &[f32],
        sign: f32,
    ) -> Answer {
        let low = usize::from(self.now.low);
        let high = 1 - low;
        let point = |now: &Now, at: usize| now.bracket.get(at).copied().unwrap_or(Point::START);
        let (lowest, highest) = (point(&self.now, low), point(&self.now, high));
        let replace = |now: &mut Now, at: usize, by: Point| {
            if let Some(point) = now.bracket.get_mut(at) {
                *point = by;
            }
        };
        if self.is_too_high(new) || new.loss >= lowest.loss {
            scale_into(memory.bracket_mut(high), sign, grads);
            replace(&mut self.now, high, new);
            let [a, b] = self.now.bracket;
            self.now.low = b.loss < a.loss || a.loss.is_nan();
            return self.next_zoom(memory, params);
        }
        let is_done = self.is_flat_enough(new);
        if !is_done && new.slope * (highest.t - lowest.t) >= 0.0 {
            let [a, b] = &mut memory.bracket;
            if low == 0 {
                b.copy_from_slice_checked(a);
            } else {
                a.copy_from_slice_checked(b);
            }
            replace(&mut self.now, high, lowest);
        }
        scale_into(memory.bracket_mut(low), sign, grads);
        replace(&mut self.now, low, new);
        if is_done {
            self.end_line_search(memory, params)
        } else {
            self.next_zoom(memory, params)
        }
    }

    /// Goes to the lower end of the bracket.
    fn end_line_search(&mut self, memory: &mut Memory<'_>, params: &mut [f32]) -> Answer {
        let low = usize::from(self.now.low);
        let point = self.now.bracket.get(low).copied().unwrap_or(Point::START);
        self.now.t = point.t;
        move_to(params, memory.x, point.t, memory.d);
        self.end_iteration(memory, params, point.loss, low)
    }
}

impl Memory<'_> {
    fn bracket_mut(&mut self, at: usize) -> &mut [f32] {
        let [low, high] = &mut self.bracket;
        if at == 0 { low } else { high }
    }
}

/// The pairs that are remembered.
struct Pairs<'m> {
    dirs: &'m mut [f32],
    stps: &'m mut [f32],
    ro: &'m mut [f32],
    al: &'m mut [f32],
}

impl Pairs<'_> {
    /// Adds the pair that the last iteration gave, if its `ys` is large enough, and turns
    /// the gradient into the next direction. `d` is still that of the last iteration.
    fn direct(self, now: &mut Now, room: usize, ys: f32, [g, prev]: [&[f32]; 2], d: &mut [f32]) {
        let Pairs { dirs, stps, ro, al } = self;
        let n = g.len();
        if ys > 1e-10 {
            let (pairs, oldest) = (now.pairs as usize, now.oldest as usize);
            let slot = if pairs == room {
                now.oldest = oldest.saturating_add(1).checked_rem(room).unwrap_or(0) as u32;
                oldest
            } else {
                now.pairs = now.pairs.saturating_add(1);
                slot_of(oldest, pairs, room)
            };
            let (y, s) = (part(dirs, slot, n), part(stps, slot, n));
            for ((y, g), prev) in y.iter_mut().zip(g).zip(prev) {
                *y = g - prev;
            }
            scale_into(s, now.t, d);
            if let Some(ro) = ro.get_mut(slot) {
                *ro = 1.0 / ys;
            }
            now.h_diag = ys / kernel::dot(y, y);
        }
        let (pairs, oldest) = (now.pairs as usize, now.oldest as usize);
        scale_into(d, -1.0, g);
        for i in (0..pairs).rev() {
            let slot = slot_of(oldest, i, room);
            let (y, s) = (part(dirs, slot, n), part(stps, slot, n));
            let ro = ro.get(slot).copied().unwrap_or_default();
            let a = kernel::dot(s, d) * ro;
            if let Some(al) = al.get_mut(slot) {
                *al = a;
            }
            for (q, y) in d.iter_mut().zip(y.iter()) {
                *q -= a * y;
            }
        }
        d.iter_mut().for_each(|d| *d *= now.h_diag);
        for i in 0..pairs {
            let slot = slot_of(oldest, i, room);
            let (y, s) = (part(dirs, slot, n), part(stps, slot, n));
            let ro = ro.get(slot).copied().unwrap_or_default();
            let be = kernel::dot(y, d) * ro;
            let a = al.get(slot).copied().unwrap_or_default() - be;
            for (r, s) in d.iter_mut().zip(s.iter()) {
                *r += a * s;
            }
        }
    }
}

/// Where the `i`-th pair stands in the ring, counted from the oldest.
fn slot_of(oldest: usize, i: usize, room: usize) -> usize {
    oldest.saturating_add(i).checked_rem(room).unwrap_or(0)
}

/// The `i`-th vector of `n` numbers.
fn part(all: &mut [f32], i: usize, n: usize) -> &mut [f32] {
    let start = i.saturating_mul(n);
    all.get_mut(start..start.saturating_add(n))
        .unwrap_or_default()
}

/// The sum of `(g - prev) · (d · t)`.
struct StepDot {
    t: f32,
}

impl Map<3> for StepDot {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[g, prev, d]: &[L; 3]) -> L {
        (g - prev) * (d * L::splat(self.t))
    }
}

/// The sum of `|g|`.
struct Magnitude;

impl Map<1> for Magnitude {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[g]: &[L; 1]) -> L {
        g.abs()
    }
}

/// The largest magnitude; NaN if there is one.
fn largest(xs: &[f32]) -> f32 {
    xs.iter().fold(0.0, |most: f32, x| {
        if x.abs() > most || x.is_nan() {
            x.abs()
        } else {
            most
        }
    })
}

fn scale_into(to: &mut [f32], factor: f32, from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = factor * from;
    }
}

fn move_to(params: &mut [f32], x: &[f32], t: f32, d: &[f32]) {
    for ((p, x), d) in params.iter_mut().zip(x).zip(d) {
        *p = x + t * d;
    }
}

/// `copy_from_slice` of as many numbers as there are in both.
trait CopyChecked {
    fn copy_from_slice_checked(&mut self, from: &[f32]);
}

impl CopyChecked for [f32] {
    fn copy_from_slice_checked(&mut self, from: &[f32]) {
        scale_into(self, 1.0, from);
    }
}

/// Where the cubic through two points with their slopes is least, within bounds.
fn cubic_minimum(a: Point, b: Point, [least, most]: [f32; 2]) -> f32 {
    let d1 = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.t - b.t);
    let square = d1 * d1 - a.slope * b.slope;
    if square < 0.0 || square.is_nan() {
        return (least + most) / 2.0;
    }
    let d2 = Lanes::sqrt(square);
    let t = if a.t <= b.t {
        b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2))
    } else {
        a.t - (a.t - b.t) * ((a.slope + d2 - d1) / (a.slope - b.slope + 2.0 * d2))
    };
    let t = if t > least { t } else { least };
    if t < most { t } else { most }
}
