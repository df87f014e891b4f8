//! Storage for a tape: of a fixed size for firmware, on the heap with `std`.

use crate::op::Node;
use crate::tape::Tape;

/// Room for `FLOATS` numbers and `NODES` recorded values, wherever the caller
/// puts it.
///
/// How large? Record the model once in an arena that is too large and read
/// [`Tape::usage`]; or start small: the error names what was needed.
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
#[derive(Debug)]
#[repr(C)]
// A vector that crosses a cache line is slow to read back.
#[cfg_attr(any(target_feature = "sse2", target_feature = "neon"), repr(align(64)))]
pub struct Arena<const FLOATS: usize, const NODES: usize> {
    floats: [f32; FLOATS],
    nodes: [Node; NODES],
}

impl<const FLOATS: usize, const NODES: usize> Arena<FLOATS, NODES> {
    /// An empty arena.
    pub const fn new() -> Self {
        Arena {
            floats: [0.0; FLOATS],
            nodes: [const { Node::EMPTY }; NODES],
        }
    }

    /// A new tape in this arena. Whatever an earlier one held is gone.
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
    /// With some to spare, for the first to start a cache line.
    floats: std::boxed::Box<[f32]>,
    len: usize,
    nodes: std::boxed::Box<[Node]>,
}

#[cfg(feature = "std")]
impl HeapArena {
    const SPARE: usize = 15;

    /// An empty arena with room for `floats` numbers and `nodes` values.
    ///
    /// # Panics
    /// If that is more than can be addressed. Less than that, but more than there is, ends
    /// the program as every allocation that fails.
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

    /// A new tape in this arena. Whatever an earlier one held is gone.
    pub fn tape(&mut self) -> Tape<'_> {
        let start = self.floats.as_ptr().align_offset(64).min(Self::SPARE);
        let floats = self.floats.get_mut(start..start + self.len);
        Tape::new(floats.unwrap_or_default(), &mut self.nodes)
    }
}
