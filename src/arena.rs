//! Storage for a tape: of a fixed size for firmware, on the heap with `std`.

use crate::op::Node;
use crate::tape::Tape;

/// Memory for a tape of `FLOATS` numbers and `NODES` recorded values, on the stack, in a
/// static or in a struct.
///
/// How large? Record the model once in an arena that is too large and read
/// [`Tape::usage`]; or start small: the error of a full arena says how much it needs.
///
/// ```
/// use baregrad::Arena;
///
/// // On the stack; its size is part of the type.
/// let mut arena = Arena::<64, 16>::new();
/// let tape = arena.tape();
/// # let _ = tape;
///
/// // In a static, which starts as zeros and so takes no flash.
/// use std::sync::Mutex;
/// static ARENA: Mutex<Arena<64, 16>> = Mutex::new(Arena::new());
/// let mut arena = ARENA.lock().unwrap();
/// let tape = arena.tape();
/// # let _ = tape;
/// ```
///
/// # Keeping arena, tape and variables
///
/// A tape borrows its arena and a variable its tape, so the arena must live longest, and the
/// tape longer than its variables. Tape and variables fit into one struct with a lifetime,
/// which a function may return:
///
/// ```
/// use baregrad::{Arena, Error, Tape, Var, optim::Sgd};
///
/// struct Model<'t> {
///     tape: &'t Tape<'t>,
///     x: Var<'t>,
///     loss: Var<'t>,
/// }
///
/// impl<'t> Model<'t> {
///     fn record(tape: &'t Tape<'t>, x: &'t [f32]) -> Self {
///         let w = tape.param(&[0.0], []);
///         let x = tape.input(x, [x.len()]);
///         Model { tape, x, loss: (w - x).square().mean() }
///     }
///
///     fn epoch(&self, x: &'t [f32], sgd: &mut Sgd) -> Result<f32, Error> {
///         self.tape.rebind(self.x, x)?;
///         self.tape.replay()?;
///         self.tape.zero_grad();
///         self.tape.backward(self.loss)?;
///         self.tape.step(sgd)?;
///         self.loss.item()
///     }
/// }
///
/// let mut arena = Arena::<16, 8>::new();      // `main` owns the arena and the tape
/// let tape = arena.tape();
/// let model = Model::record(&tape, &[1.0, 2.0]);
/// assert_eq!(model.epoch(&[3.0, 5.0], &mut Sgd::new(0.1))?, 17.0);
/// # Ok::<(), Error>(())
/// ```
///
/// An arena can be a field, too. Its owner then keeps the numbers that outlive a tape, and
/// records whenever it trains:
///
/// ```
/// use baregrad::{Arena, Error, optim::Sgd};
///
/// struct Device {
///     arena: Arena<16, 8>,
///     w: [f32; 1],
/// }
///
/// impl Device {
///     fn train(&mut self, x: &[f32]) -> Result<(), Error> {
///         let tape = self.arena.tape();
///         let w = tape.param(&self.w, []);
///         let loss = (w - tape.input(x, [x.len()])).square().mean();
///         tape.backward(loss)?;
///         tape.step(&mut Sgd::new(0.5))?;
///         self.w.copy_from_slice(&tape.params()?);
///         Ok(())
///     }
/// }
///
/// let mut device = Device { arena: Arena::new(), w: [0.0] };
/// device.train(&[1.0, 2.0])?;
/// assert_eq!(device.w, [1.5]);
/// # Ok::<(), Error>(())
/// ```
///
/// A function that makes the arena cannot return a tape or variable that borrows the arena,
/// because the arena would be dropped, or would move, which a borrow forbids:
///
/// ```compile_fail,E0515
/// use baregrad::{Arena, Tape};
///
/// fn make<'t>() -> Tape<'t> {
///     let mut arena = Arena::<16, 8>::new();
///     arena.tape() // refers to the local `arena`
/// }
/// ```
///
/// In a program that never ends, an arena in a `static` can be borrowed forever:
/// `StaticCell::init` of the crate `static_cell` returns a `&'static mut Arena`, whose tape and
/// variables have the lifetime `'static` and may be stored anywhere.
#[derive(Debug)]
#[repr(C)]
// Aligned to cache lines: a vector that crosses two of them is slow to read back.
#[cfg_attr(any(target_feature = "sse2", target_feature = "neon"), repr(align(64)))]
pub struct Arena<const FLOATS: usize, const NODES: usize> {
    floats: [f32; FLOATS],
    nodes: [Node; NODES],
}

impl<const FLOATS: usize, const NODES: usize> Arena<FLOATS, NODES> {
    /// Returns an empty arena.
    pub const fn new() -> Self {
        Arena {
            floats: [0.0; FLOATS],
            nodes: [const { Node::EMPTY }; NODES],
        }
    }

    /// Returns a new, empty tape in this arena. The recording of an earlier tape is lost.
    pub fn tape(&mut self) -> Tape<'_> {
        Tape::new(&mut self.floats, &mut self.nodes)
    }
}

impl<const FLOATS: usize, const NODES: usize> Default for Arena<FLOATS, NODES> {
    fn default() -> Self {
        Self::new()
    }
}

/// An arena on the heap, for sizes known only at run time.
///
/// ```
/// use baregrad::HeapArena;
///
/// let samples = 1000;
/// let mut arena = HeapArena::new(4 * samples, 16);
/// let tape = arena.tape();
/// # let _ = tape;
/// ```
#[cfg(feature = "std")]
#[derive(Debug)]
pub struct HeapArena {
    /// `len + SPARE` numbers: the tape's first number can then start a cache line.
    floats: std::boxed::Box<[f32]>,
    /// The numbers that a tape may use.
    len: usize,
    nodes: std::boxed::Box<[Node]>,
}

#[cfg(feature = "std")]
impl HeapArena {
    /// A cache line has 16 floats, so alignment skips at most 15.
    const SPARE: usize = 15;

    /// Returns an empty arena with room for `floats` numbers and `nodes` values.
    ///
    /// # Panics
    /// If that is more memory than can be addressed. An allocation that fails for another
    /// reason ends the program, as everywhere in `std`.
    pub fn new(floats: usize, nodes: usize) -> Self {
        let most = isize::MAX as usize;
        assert!(
            floats <= most / size_of::<f32>() - Self::SPARE && nodes <= most / size_of::<Node>(),
            "HeapArena::new: {floats} floats and {nodes} nodes are more than can be addressed"
        );
        HeapArena {
            floats: std::vec![0.0; floats + Self::SPARE].into(),
            len: floats,
            nodes: std::vec![Node::EMPTY; nodes].into(),
        }
    }

    /// Returns a new, empty tape in this arena. The recording of an earlier tape is lost.
    pub fn tape(&mut self) -> Tape<'_> {
        let start = self.floats.as_ptr().align_offset(64).min(Self::SPARE);
        let floats = self.floats.get_mut(start..start + self.len);
        Tape::new(floats.unwrap_or_default(), &mut self.nodes)
    }
}
