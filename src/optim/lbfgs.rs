//! L-BFGS: a quasi-Newton method with curvature estimates from the last steps.

mod memory;
mod pairs;
mod strong_wolfe;

use memory::{CopyChecked as _, Memory, VECTORS, move_to, scale_into};
pub use memory::{LbfgsMemory, LbfgsStorage};
use pairs::Pairs;
use strong_wolfe::Point;

use super::builders::show_options;
use super::clip::largest;
use super::search::{Answer, Reason, Search};
use super::{OptimizerError, Show, Stateful, Visit, halves, require, visit_count, visit_number};
use crate::kernel::{self, Lanes, Map};

/// Limited-memory BFGS, as `torch.optim.LBFGS`: a [`Search`] for
/// [`Tape::minimize`](crate::Tape::minimize), which corresponds to one `step(closure)` in
/// PyTorch.
///
/// ```text
/// y ← g − g of the previous iteration,  s ← the step since then
/// d ← −H · g, with H from the last M pairs (y, s) where y · s > 1e-10
/// p ← p + t · d,  t = lr, in the first iteration min(1, 1 / Σ|g|) · lr;
///                 with strong_wolfe, t by a line search along d
/// ```
///
/// D. C. Liu and J. Nocedal, "On the limited memory BFGS method for large scale optimization",
/// Mathematical Programming 45 (1989). As in PyTorch, the line search is that of M. Schmidt's
/// minFunc: it brackets a minimum and zooms in by cubic interpolation, until the strong Wolfe
/// conditions hold (J. Nocedal and S. Wright, "Numerical Optimization" (2006), algorithms 3.5
/// and 3.6, with c₁ = 1e-4 and c₂ = 0.9).
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
/// `N` is the number of parameters for which there is room inline, and `M` the number of stored
/// pairs (`history_size` in PyTorch, where it is 100; 5 to 10 are usual). Together they take
/// `4 · N · (2 M + 5) + 8 M` bytes, plus some scalars.
///
/// Losses and slopes are `f32` and compared as such: a step whose change of the loss is below
/// its resolution passes as one that lowers it. The gradients still determine the direction.
#[derive(Clone, Debug)]
pub struct Lbfgs<const N: usize, const M: usize, S = LbfgsMemory<N, M>> {
    search: Machine,
    memory: S,
}

impl<const N: usize, const M: usize> Lbfgs<N, M> {
    /// Creates an L-BFGS with step length `lr` (PyTorch's default is 1), and memory for up to
    /// `N` parameters and `M` pairs inline.
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
    /// Creates an L-BFGS with step length `lr`, and memory for up to `params` parameters and
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
    /// Creates an L-BFGS with step length `lr`, and memory in a slice of the caller:
    /// `(2 m + 5) n + 2 m` floats for `n` parameters and `m = history` pairs. The slice is
    /// zeroed.
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
    /// The maximum number of iterations in a call, at least 1.
    #[must_use]
    pub const fn max_iter(mut self, iterations: u32) -> Self {
        self.search.hyper.max_iter = iterations;
        self
    }

    /// The maximum number of evaluations in a call. The search compares the count at the end of
    /// an iteration and during a line search ([`strong_wolfe`](Self::strong_wolfe)). As in
    /// PyTorch, a line search takes one evaluation even if none is left, so that a call may
    /// take one more than the maximum.
    #[must_use]
    pub const fn max_eval(mut self, evaluations: u32) -> Self {
        self.search.hyper.max_eval = Some(evaluations);
        self
    }

    /// The search ends when no element of the gradient is larger than this.
    #[must_use]
    pub const fn tolerance_grad(mut self, tolerance: f32) -> Self {
        self.search.hyper.tolerance_grad = tolerance;
        self
    }

    /// The search ends when loss, parameters or slope change by less than this.
    #[must_use]
    pub const fn tolerance_change(mut self, tolerance: f32) -> Self {
        self.search.hyper.tolerance_change = tolerance;
        self
    }

    /// Searches along every direction for a step that satisfies the strong Wolfe conditions:
    /// the loss falls sufficiently and its slope becomes flatter. As in PyTorch 2.15, a line
    /// search takes at most the evaluations that [`max_eval`](Self::max_eval) leaves in this
    /// call, but at least one.
    #[must_use]
    pub const fn strong_wolfe(mut self) -> Self {
        self.search.hyper.strong_wolfe = true;
        self
    }

    /// Maximises the loss instead of minimising it.
    #[must_use]
    pub const fn maximize(mut self) -> Self {
        self.search.hyper.maximize = true;
        self
    }

    /// The step length, at which a line search begins.
    pub const fn learning_rate(&self) -> f32 {
        self.search.hyper.lr
    }

    /// Sets the step length.
    pub const fn set_learning_rate(&mut self, lr: f32) {
        self.search.hyper.lr = lr;
    }

    /// The number of evaluations since the start or the last [`reset`](Self::reset).
    pub const fn evaluations(&self) -> u32 {
        self.search.now.func_evals
    }

    /// Forgets all steps. Hyper-parameters stay.
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
        show("LBFGS", &[]);
        show("history_size", &[*history as f32]);
        show_options!(hyper, show, max_iter);
        match hyper.max_eval {
            Some(most) => show("max_eval", &halves(most)),
            None => show("max_eval", &[-1.0]),
        }
        show_options!(
            hyper,
            show,
            tolerance_grad,
            tolerance_change,
            strong_wolfe,
            maximize
        );
    }
}

/// The search without the memory for vectors.
#[derive(Clone, Debug)]
struct Machine {
    hyper: Hyper,
    /// The number of pairs for which there is room.
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

impl Hyper {
    /// Returns `max_eval`, or its default: 5/4 of the iterations, as in PyTorch.
    fn most_evals(&self) -> u32 {
        let default = self.max_iter.saturating_mul(5) / 4;
        self.max_eval.unwrap_or(default)
    }
}

/// The use of the next loss.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// It begins a new call.
    Begin,
    /// It follows a step of fixed length.
    Stepped,
    /// It belongs to a line search that looks for a bracket.
    Bracket,
    /// It belongs to a line search that has a bracket.
    Zoom,
}

/// The state that changes from loss to loss.
#[derive(Clone, Debug)]
struct Now {
    phase: Phase,
    /// Iterations and evaluations in this call.
    iter: u32,
    evals: u32,
    /// Iterations and evaluations in all calls.
    n_iter: u32,
    func_evals: u32,
    /// The number of pairs, and the slot of the oldest.
    pairs: u32,
    oldest: u32,
    h_diag: f32,
    t: f32,
    /// The loss, and its slope along the direction, at the start of the iteration.
    prev_loss: f32,
    slope: f32,
    /// State of the line search: number of iterations, the bracket, whether its second end has
    /// the lower loss, and whether the last point was too close to an end.
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
        for (name, count) in [
            ("n_iter", &mut self.n_iter),
            ("func_evals", &mut self.func_evals),
            ("iter", &mut self.iter),
            ("evals", &mut self.evals),
            ("pairs", &mut self.pairs),
            ("oldest", &mut self.oldest),
            ("ls_iter", &mut self.ls_iter),
        ] {
            visit_count(name, count, visit);
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
            visit_number(name, number, visit);
        }
    }
}

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
        // Maximising is minimising the negative loss: only signs change.
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

    /// Whether the gradient in bracket buffer `at` is flat.
    fn is_flat(&self, memory: &mut Memory<'_>, at: usize) -> bool {
        largest(memory.bracket_mut(at)) <= self.hyper.tolerance_grad
    }

    /// Computes a direction, and takes the first step along it. The gradient is in bracket
    /// buffer `at`.
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
        memory.x.copy_from_slice_checked(params);
        move_to(params, memory.x, now.t, memory.d);
        if self.hyper.strong_wolfe {
            now.ls_iter = 0;
            let [first, _] = &mut now.bracket;
            *first = Point {
                t: 0.0,
                loss,
                slope: now.slope,
            };
            now.phase = Phase::Bracket;
            return Answer::Ask;
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

    /// Decides after an iteration whether the search ends. The gradient is in bracket buffer
    /// `at`.
    fn end_iteration(
        &mut self,
        memory: &mut Memory<'_>,
        params: &mut [f32],
        loss: f32,
        at: usize,
    ) -> Answer {
        let (hyper, now) = (&self.hyper, &self.now);
        let tolerance = hyper.tolerance_change;
        let reason = if now.iter >= hyper.max_iter {
            Some(Reason::Iterations)
        } else if now.evals >= hyper.most_evals() {
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
}

/// `(g - prev) · (d · t)` of one element.
struct StepDot {
    t: f32,
}

impl Map<3> for StepDot {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[g, prev, d]: &[L; 3]) -> L {
        (g - prev) * (d * L::splat(self.t))
    }
}

/// `|g|` of one element.
struct Magnitude;

impl Map<1> for Magnitude {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[g]: &[L; 1]) -> L {
        g.abs()
    }
}
