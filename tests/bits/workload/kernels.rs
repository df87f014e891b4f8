//! Kernels on slices of many lengths, and on matrices of many sizes.

use baregrad::kernel::{self, Acc, Bits as _, Broadcast, Lanes, Map, Mask as _, Ties, math};
use baregrad::random::seeded;
use baregrad::{Error, Shape};

use super::{Digest, Group, fill, fill_wild, first, first_mut};

/// Every kernel, on slices of many lengths and matrices of many sizes.
pub const KERNELS: Group = Group {
    name: "kernels",
    run: kernels,
    stack: 15_500,
    digest: 0x81cf_255f_5e66_2124,
};

// The `SHORT` of these maps is 0, so that the shortest slices use vectors, too.

struct One;
impl Map<1> for One {
    const SHORT: usize = 0;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        math::exp(x) - x / L::splat(3.0)
    }
}

struct Two;
impl Map<2> for Two {
    const SHORT: usize = 0;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        L::select(x.lt(y), x * y, x - y.abs().sqrt())
    }
}

struct Three;
impl Map<3> for Three {
    const SHORT: usize = 0;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y, z]: &[L; 3]) -> L {
        x * (y - z) + y / z
    }
}

/// Operations of lanes that the other maps do not use.
struct Rare;
impl Map<2> for Rare {
    const SHORT: usize = 0;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        let (a, b) = (x.to_bits(), y.to_bits());
        let mixed = a.xor(b.shr::<9>()).add(b.shl::<5>());
        let mixed = L::from_bits(mixed.sub(L::Bits::splat(12_345)).or(a.and(b)));
        let z = L::select(x.le(y), mixed, -mixed);
        let z = L::select(x.ge(y).and(y.gt(x.abs()).not()), z, z.abs());
        L::select(x.le(-y).or(x.eq(-y)).or(x.is_nan()), y - x, z)
    }
}

/// The longest operand.
const LONG: usize = 515;

fn kernels(digest: &mut Digest) -> Result<(), Error> {
    let rng = &mut seeded(1);
    let [mut a, mut b, mut c, mut out] = [[0.0; LONG]; 4];
    // Every remainder by 8, and remainders near the ends of 32.
    for n in (0..=41).chain([63, 64, 65, 100, 257, LONG]) {
        for wild in [false, true] {
            for x in [&mut a, &mut b, &mut c] {
                let to = first_mut(x, n);
                match wild {
                    true => fill_wild(rng, to),
                    false => fill(rng, to),
                }
            }
            fill(rng, &mut out);
            let (x, y, z) = (first(&a, n), first(&b, n), first(&c, n));
            slices(digest, [x, y, z], first_mut(&mut out, n));
        }
    }
    for sizes in [
        [1, 1, 1],
        [2, 3, 4],
        [3, 5, 1],
        [1, 17, 1],
        [3, 33, 1],
        [1, 67, 1],
        [2, 3, 9],
        [2, 17, 8],
        [1, 20, 23],
        [9, 1, 31],
        [16, 16, 2],
        [5, 4, 17],
        [7, 9, 8],
    ] {
        fill(rng, &mut a);
        fill(rng, &mut b);
        fill(rng, &mut c);
        axes(digest, sizes, [&a, &b, &c], &mut out);
    }
    for [m, k, n] in [
        [1, 1, 1],
        [3, 1, 5],
        [1, 67, 1],
        [67, 1, 1],
        [5, 7, 1],
        [1, 9, 33],
        [4, 4, 4],
        [8, 8, 8],
        [9, 5, 17],
        [16, 16, 16],
        [17, 13, 19],
        [22, 22, 22],
        [3, 41, 12],
    ] {
        fill(rng, &mut a);
        fill(rng, &mut b);
        fill(rng, &mut c);
        matrices(digest, [m, k, n], [&a, &b, &c], &mut out);
    }
    for [p, q] in [
        [Shape::from([]), Shape::from([67])],
        [Shape::from([9]), Shape::from([9])],
        [Shape::from([3, 1]), Shape::from([3, 67])],
        [Shape::from([33]), Shape::from([7, 33])],
        [Shape::from([5, 1]), Shape::from([1, 41])],
        [Shape::from([1, 3, 1]), Shape::from([4, 1, 40])],
        [Shape::from([2, 1, 1, 5]), Shape::from([1, 7, 3, 1])],
        [Shape::from([5, 1, 1]), Shape::from([5, 6, 7])],
    ] {
        for [p, q] in [[p, q], [q, p]] {
            fill(rng, &mut a);
            fill(rng, &mut b);
            stretched(digest, [p, q], [&a, &b], [&mut c, &mut out]);
        }
    }
    Ok(())
}

// Each part has a stack frame of its own, so that a board needs room for one at a time.
#[inline(never)]
fn slices(digest: &mut Digest, [x, y, z]: [&[f32]; 3], out: &mut [f32]) {
    for acc in [Acc::Add, Acc::Set] {
        kernel::map(One, [x], out, acc);
        digest.add(out);
        kernel::map(Two, [x, y], out, acc);
        digest.add(out);
        kernel::map(Rare, [x, y], out, acc);
        digest.add(out);
        kernel::map(Three, [x, y, z], out, acc);
        digest.add(out);
    }
    digest.add(&[
        kernel::sum(x),
        kernel::dot(x, y),
        kernel::squared_distance(x, z),
        kernel::sum_of(One, [x]),
        kernel::sum_of(Two, [x, y]),
        kernel::sum_of(Three, [x, y, z]),
        kernel::max(x),
        kernel::min(y),
    ]);
    let (dot, sum) = kernel::dot_and_sum(x, z);
    digest.add(&[dot, sum]);
}

#[inline(never)]
fn axes(digest: &mut Digest, sizes: [usize; 3], [a, b, c]: [&[f32]; 3], out: &mut [f32]) {
    let [outer, len, inner] = sizes;
    let (n, rows) = (outer * len * inner, outer * inner);
    let (x, g) = (first(a, n), first(b, n));
    // This uses the memory of `soft`, as a board has 16 KiB.
    let mut soft = [0.0; LONG];
    let less = first_mut(&mut soft, rows);
    for axis in [kernel::sum_axis, kernel::min_axis, kernel::max_axis] {
        axis(x, sizes, less);
        digest.add(less);
    }
    let out = first_mut(out, n);
    for acc in [Acc::Add, Acc::Set] {
        for ties in [Ties::First, Ties::Even, Ties::Scaled] {
            kernel::send_to_extremes(x, less, c, sizes, ties, out, acc);
            digest.add(out);
        }
    }
    let soft = first_mut(&mut soft, n);
    // Small enough for `exp`.
    let mut small = [0.0; LONG];
    let small = first_mut(&mut small, n);
    kernel::map(kernel::Scale(0.02), [x], small, Acc::Set);
    for acc in [Acc::Add, Acc::Set] {
        kernel::spread(first(c, rows), 3.0, sizes, out, acc);
        digest.add(out);
        kernel::softmax::<false>(small, sizes, soft);
        digest.add(soft);
        kernel::softmax_grad::<false>(soft, g, sizes, out, acc);
        digest.add(out);
        kernel::softmax::<true>(small, sizes, soft);
        digest.add(soft);
        kernel::softmax_grad::<true>(soft, g, sizes, out, acc);
        digest.add(out);
        kernel::transpose(x, [1, outer, 1, len, inner], out, acc);
        digest.add(out);
        let range = [len / 3, len - len / 3];
        let part = first_mut(soft, outer * range[1] * inner);
        kernel::cut(x, sizes, range, part, acc);
        digest.add(part);
        kernel::paste(part, sizes, range, out, acc);
        digest.add(out);
    }
}

#[inline(never)]
fn matrices(digest: &mut Digest, sizes: [usize; 3], [a, b, c]: [&[f32]; 3], out: &mut [f32]) {
    let [m, k, n] = sizes;
    let (x, w, g) = (first(a, m * k), first(b, k * n), first(c, m * n));
    let y = first_mut(out, m * n);
    kernel::matmul(x, w, y, sizes);
    digest.add(y);
    kernel::linear(x, w, first(c, n), y, sizes);
    digest.add(y);
    for acc in [Acc::Set, Acc::Add] {
        let to = first_mut(out, k * n);
        kernel::matmul_tn(x, g, to, sizes, acc);
        digest.add(to);
        let to = first_mut(out, m * k);
        kernel::matmul_nt(g, w, to, sizes, acc);
        digest.add(to);
        let to = first_mut(out, n);
        kernel::sum_rows(g, [m, n], to, acc);
        digest.add(to);
    }
}

#[inline(never)]
fn stretched(
    digest: &mut Digest,
    [p, q]: [Shape; 2],
    [a, b]: [&[f32]; 2],
    [out, grad]: [&mut [f32]; 2],
) {
    let Some((shape, stretch)) = Broadcast::new(&p, &q) else {
        return;
    };
    let (x, y) = (first(a, p.numel()), first(b, q.numel()));
    let out = first_mut(out, shape.numel());
    kernel::zip(Two, &stretch, x, y, out);
    digest.add(out);
    for acc in [Acc::Set, Acc::Add] {
        let grad = first_mut(grad, p.numel());
        kernel::zip_grad(Three, &stretch, [out, x, y], grad, acc);
        digest.add(grad);
    }
}
