//! Tests every model of the list: `f32`, every lane type, recordings on a tape, and printed code
//! give the same bits; derivatives by jets and by the tape agree with differences in `f64`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

#[path = "common/bits.rs"]
mod bits;

use std::ops::{Add, Div, Mul, Neg, Sub};

use baregrad::function::models::{self, Visitor};
use baregrad::function::{Function, Jet, Real, chebyshev, horner};
use baregrad::kernel::{self, Acc, Lanes, Map};
use baregrad::op::{Attrs, Node};
use baregrad::ops::compare::{Compare, Comparison};
use baregrad::ops::{Binary, Each, Pair, Unary};
use baregrad::random::seeded;
use baregrad::{Arena, Tape};
use bits::bits;
use rand_core::Rng;

const INF: f32 = f32::INFINITY;

/// Special numbers.
const SPECIAL: [f32; 24] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    INF,
    -INF,
    f32::NAN,
    f32::MAX,
    f32::MIN,
    1e-45,
    -1e-45,
    1e-40,
    -1e-40,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e20,
    -1e20,
    88.9,
    -88.9,
    103.9,
    -104.1,
    273.15,
];

/// Draws readings and parameters, a column each: ordinary numbers and numbers of all sizes, and
/// special ones among both.
fn draw(ranges: &[[f32; 2]], n: usize, rng: &mut impl Rng) -> Vec<Vec<f32>> {
    let mut columns = vec![Vec::with_capacity(n); ranges.len()];
    for i in 0..n {
        for (column, [from, to]) in columns.iter_mut().zip(ranges) {
            let random = rng.next_u32();
            let unit = (random >> 8) as f32 / 16_777_216.0;
            let ordinary = from + unit * (to - from);
            column.push(match (i % 4, random % 8) {
                (0, _) | (_, 0..4) => ordinary,
                (1, _) => SPECIAL[random as usize / 8 % SPECIAL.len()],
                (2, _) => f32::from_bits(rng.next_u32()),
                _ => ordinary * (16.0 * unit - 8.0).exp2(),
            });
        }
    }
    columns
}

/// Returns a row of columns.
fn row<const N: usize>(columns: &[Vec<f32>], i: usize) -> [f32; N] {
    std::array::from_fn(|k| columns[k][i])
}

// ---- values: one, lanes, tape ------------------------------------------------

/// A model of up to 12 inputs and parameters as a kernel's function.
struct Lanewise<F, const X: usize, const P: usize>(std::marker::PhantomData<F>);
const COLUMNS: usize = 12;
impl<F: Function<X, P>, const X: usize, const P: usize> Map<COLUMNS> for Lanewise<F, X, P> {
    #[inline(always)]
    fn apply<L: Lanes>(&self, columns: &[L; COLUMNS]) -> L {
        let x = std::array::from_fn(|k| columns[k]);
        F::lanes(x, std::array::from_fn(|k| columns[X + k]))
    }
}

/// Compares the bits of one model in all its forms.
fn compare<F: Function<X, P>, const X: usize, const P: usize>(
    x: &[Vec<f32>],
    p: &[Vec<f32>],
    expected: &[f32],
) -> usize {
    let mut compared = 0;
    let mut same = |got: &[f32], first: usize, way: &str| {
        for (i, (got, expected)) in got.iter().zip(&expected[first..]).enumerate() {
            compared += 1;
            let (x, p): ([f32; X], [f32; P]) = (row(x, first + i), row(p, first + i));
            assert_eq!(
                bits(*got),
                bits(*expected),
                "{} of {x:?} by {p:?}: {got:e} {way}, {expected:e} in f32",
                F::NAME
            );
        }
    };

    const CHUNK: usize = 4001;
    let n = expected.len();
    let mut floats = vec![0.0; CHUNK * 40];
    let mut nodes = vec![Node::EMPTY; 64];
    let mut out = vec![0.0; CHUNK];
    for first in (0..n).step_by(CHUNK) {
        let chunk = first..(first + CHUNK).min(n);
        let columns: Vec<&[f32]> = x.iter().chain(p).map(|c| &c[chunk.clone()]).collect();
        let len = chunk.len();

        let tape = Tape::new(&mut floats, &mut nodes);
        let vars: Vec<_> = columns.iter().map(|c| tape.input(c, [len])).collect();
        let recorded = F::eval::<baregrad::Var<'_>>(
            std::array::from_fn(|k| vars[k]),
            std::array::from_fn(|k| vars[X + k]),
        );
        same(&recorded.value().unwrap(), first, "recorded");

        let padded = std::array::from_fn(|k| *columns.get(k).unwrap_or(&columns[0]));
        for_each_level(|level| {
            let f = Lanewise::<F, X, P>(std::marker::PhantomData);
            kernel::map(f, padded, &mut out[..len], Acc::Set);
            same(&out[..len], first, &format!("in lanes, {level}"));
            tape.replay().unwrap();
            same(
                &recorded.value().unwrap(),
                first,
                &format!("recorded, {level}"),
            );
        });
    }
    compared
}

#[cfg(feature = "std")]
fn for_each_level(mut f: impl FnMut(String)) {
    use kernel::{Level, level, set_level};
    let best = level();
    for level in Level::available() {
        set_level(level);
        f(level.to_string());
    }
    set_level(best);
}

#[cfg(not(feature = "std"))]
fn for_each_level(mut f: impl FnMut(String)) {
    f("the only level".into());
}

/// The number of samples of each model. With at least seven forms, that is over a million results.
const SAMPLES: usize = 150_000;

struct Values {
    #[cfg(feature = "std")]
    printed: printed::Program,
}

impl Visitor for Values {
    fn visit<F: Function<X, P> + 'static, const X: usize, const P: usize>(
        &mut self,
        _: F,
        x: [[f32; 2]; X],
        p: [[f32; 2]; P],
    ) {
        let start = std::time::Instant::now();
        let mut rng = seeded(13);
        let (x, p) = (draw(&x, SAMPLES, &mut rng), draw(&p, SAMPLES, &mut rng));
        let expected: Vec<f32> = (0..SAMPLES)
            .map(|i| F::value(row(&x, i), row(&p, i)))
            .collect();
        let finite = expected.iter().filter(|y| y.is_finite()).count();
        assert!(finite > SAMPLES / 4 && finite < SAMPLES, "{}", F::NAME);
        let compared = compare::<F, X, P>(&x, &p, &expected);
        println!(
            "{:<14} {compared} bits as one f32 has them ({finite} of {SAMPLES} finite), {:.1?}",
            F::NAME,
            start.elapsed()
        );
        #[cfg(feature = "std")]
        self.printed.add::<F, X, P>(&x, &p, &expected);
    }
}

/// This is one test, because the level is set for the whole process.
#[test]
fn same_bits_all_ways() {
    let mut values = Values {
        #[cfg(feature = "std")]
        printed: printed::Program::default(),
    };
    models::visit(&mut values);
    #[cfg(feature = "std")]
    values.printed.run("models");
}

// ---- printed source ----------------------------------------------------------

#[cfg(feature = "std")]
mod printed {
    use std::fmt::Write as _;
    use std::path::Path;
    use std::process::Command;

    use baregrad::function::Function;
    use baregrad::function::source::Source;

    use super::{bits, row};

    /// A program of all printed models, which computes the samples in a file.
    #[derive(Default)]
    pub(super) struct Program {
        functions: String,
        main: String,
        data: Vec<f32>,
        expected: Vec<f32>,
        names: Vec<(&'static str, usize)>,
    }

    impl Program {
        pub(super) fn add<F: Function<X, P>, const X: usize, const P: usize>(
            &mut self,
            x: &[Vec<f32>],
            p: &[Vec<f32>],
            expected: &[f32],
        ) {
            // Each printed file is complete, so it is a module of its own.
            let k = self.names.len();
            let (plain, gradient) = (Source::of::<F, X, P>(), Source::with_gradient::<F, X, P>());
            let (plain, gradient) = (plain.rust(), gradient.rust());
            let name = plain
                .split("pub fn ")
                .nth(1)
                .unwrap()
                .split('(')
                .next()
                .unwrap();
            writeln!(self.functions, "mod plain{k} {{\n{plain}}}").unwrap();
            writeln!(self.functions, "mod gradient{k} {{\n{gradient}}}").unwrap();
            let samples = expected.len();
            writeln!(
                self.main,
                "for i in 0..{samples} {{ let x = next(); let p = next(); \
                 put(&[plain{k}::{name}(x, p)]); \
                 if i % 8 == 0 {{ let (y, g) = gradient{k}::{name}(x, p); put(&[y]); put(&g); }} }}"
            )
            .unwrap();
            let before = self.expected.len();
            for (i, value) in expected.iter().enumerate() {
                let (x, p): ([f32; X], [f32; P]) = (row(x, i), row(p, i));
                self.data.extend(x);
                self.data.extend(p);
                self.expected.push(*value);
                if i % 8 == 0 {
                    let (value, gradient) = F::value_and_gradient(x, p);
                    self.expected.push(value);
                    self.expected.extend(gradient);
                }
            }
            self.names.push((F::NAME, self.expected.len() - before));
        }

        /// Compiles and runs the program, in a folder of its own, as tests run in parallel.
        pub(super) fn run(&self, name: &str) {
            let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("function-{name}"));
            std::fs::create_dir_all(&directory).unwrap();
            let bytes: Vec<u8> = self.data.iter().flat_map(|x| x.to_le_bytes()).collect();
            std::fs::write(directory.join("data"), bytes).unwrap();
            let program = format!(
                "#![allow(unused)]\n{}\nfn main() {{\n\
                 let bytes = std::fs::read(\"data\").unwrap();\n\
                 let mut from = bytes.chunks_exact(4)\
                     .map(|b| f32::from_le_bytes(b.try_into().unwrap()));\n\
                 let mut to = vec![];\n\
                 fn next<const N: usize>(from: &mut impl Iterator<Item = f32>) -> [f32; N] {{\
                     std::array::from_fn(|_| from.next().unwrap()) }}\n\
                 let mut put = |ys: &[f32]| ys.iter().for_each(|y| to.extend(y.to_le_bytes()));\n\
                 {}\nstd::fs::write(\"results\", to).unwrap();\n}}\n",
                self.functions,
                self.main.replace("next()", "next(&mut from)")
            );
            std::fs::write(directory.join("printed.rs"), program).unwrap();

            // The compiler beside this cargo.
            let rustc = Path::new(env!("CARGO")).with_file_name("rustc");
            let run = |command: &mut Command| {
                let output = command.current_dir(&directory).output().unwrap();
                let errors = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{command:?}: {errors}");
            };
            run(Command::new(rustc).args(["--edition=2024", "-O", "printed.rs", "-o", "printed"]));
            run(&mut Command::new(directory.join("printed")));

            let results = std::fs::read(directory.join("results")).unwrap();
            let results: Vec<f32> = results
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
                .collect();
            assert_eq!(results.len(), self.expected.len());
            let mut rest = results.iter().zip(&self.expected);
            for (name, count) in &self.names {
                for (i, (got, expected)) in rest.by_ref().take(*count).enumerate() {
                    assert_eq!(
                        bits(*got),
                        bits(*expected),
                        "{name}, printed, {i}: {got:e} {expected:e}"
                    );
                }
                println!("{name:<14} {count} bits as printed");
            }
            std::fs::remove_dir_all(directory).unwrap();
        }
    }

    /// A model that needs code of other files of the crate, and has awkward names.
    struct Awkward;
    impl Function<2, 1> for Awkward {
        const NAME: &'static str = "where 2";
        const INPUTS: [&'static str; 2] = ["fn", "x 1"];
        const PARAMETERS: [&'static str; 1] = ["v0"];
        #[inline(always)]
        fn eval<S: baregrad::function::Real>([x, y]: [S; 2], [p]: [S; 1]) -> S {
            ((100.0 * x).sin() + (100.0 * y).cos()).abs().sqrt() * p.powi(5) / y.powf(1.5)
        }
    }

    #[test]
    fn source_needs_nothing_else() {
        let mut rng = baregrad::random::seeded(5);
        let ranges = [[-1e3, 1e3]; 3];
        let columns = super::draw(&ranges, 20_000, &mut rng);
        let (x, p) = columns.split_at(2);
        let values: Vec<f32> = (0..20_000)
            .map(|i| Awkward::value(row(x, i), row(p, i)))
            .collect();
        let mut program = Program::default();
        program.add::<Awkward, 2, 1>(x, p, &values);
        assert!(
            program
                .functions
                .contains("pub fn where_2([x0, x1]: [f32; 2], [p0]: [f32; 1])")
        );
        assert!(program.functions.contains("fn huge_cos_angle"));
        program.run("awkward");
    }
}

// ---- derivatives ---------------------------------------------------------------

/// A number in `f64` with `std`'s functions, as users may implement one.
#[derive(Clone, Copy, Debug)]
struct Double(f64);

macro_rules! double {
    ($($Trait:ident $method:ident $sign:tt),*) => {$(
        impl $Trait for Double {
            type Output = Self;
            fn $method(self, rhs: Self) -> Self {
                Double(self.0 $sign rhs.0)
            }
        }
        impl $Trait<f32> for Double {
            type Output = Self;
            fn $method(self, rhs: f32) -> Self {
                Double(self.0 $sign f64::from(rhs))
            }
        }
        impl $Trait<Double> for f32 {
            type Output = Double;
            fn $method(self, rhs: Double) -> Double {
                Double(f64::from(self) $sign rhs.0)
            }
        }
    )*};
}
double!(Add add +, Sub sub -, Mul mul *, Div div /);
impl Neg for Double {
    type Output = Self;
    fn neg(self) -> Self {
        Double(-self.0)
    }
}
impl Real for Double {
    type Mask = bool;
    fn number(self, c: f32) -> Self {
        Double(c.into())
    }
    fn each<U: Unary + 'static>(self, _: &'static Each<U>, _: Attrs) -> Self {
        Double(match U::NAME {
            "square" => self.0 * self.0,
            "sqrt" => self.0.sqrt(),
            "exp" => self.0.exp(),
            "ln" => self.0.ln(),
            "atan" => self.0.atan(),
            "sigmoid" => 1.0 / (1.0 + (-self.0).exp()),
            name => panic!("no {name}"),
        })
    }
    fn pair<B: Binary + 'static>(self, _: &'static Pair<B>, other: Self) -> Self {
        Double(match B::NAME {
            "pow" => self.0.powf(other.0),
            name => panic!("no {name}"),
        })
    }
    fn compare<C: Comparison + 'static>(self, _: &'static Compare<C>, other: Self) -> bool {
        match C::NAME {
            "lt" => self.0 < other.0,
            name => panic!("no {name}"),
        }
    }
    fn where_(self, mask: bool, other: Self) -> Self {
        if mask { self } else { other }
    }
}

/// Returns the derivatives of `f` by each of its arguments, by central differences.
fn differences<const N: usize>(at: [f32; N], f: impl Fn([Double; N]) -> Double) -> [f64; N] {
    let at = at.map(f64::from);
    std::array::from_fn(|k| {
        // In `f64` the truncation error is 1e-11 of the derivative, and so is the rounding error.
        let step = 1e-5 * at[k].abs().max(1e-3);
        let moved = |by: f64| {
            let mut moved = at;
            moved[k] += by;
            f(moved.map(Double)).0
        };
        let wide = (moved(2.0 * step) - moved(-2.0 * step)) / (4.0 * step);
        let near = (moved(step) - moved(-step)) / (2.0 * step);
        (4.0 * near - wide) / 3.0
    })
}

/// The number of derivatives that were checked, and the worst error.
#[derive(Default)]
struct Gradients {
    checked: usize,
}

/// The allowed difference of derivatives, relative to themselves or to the largest of them. It is
/// about twice the measured one, some ten roundings of `f32` that a model amplifies.
const ALLOWED: f64 = 4e-6;

impl Visitor for Gradients {
    fn visit<F: Function<X, P> + 'static, const X: usize, const P: usize>(
        &mut self,
        _: F,
        x: [[f32; 2]; X],
        p: [[f32; 2]; P],
    ) {
        let mut rng = seeded(7);
        let mut ordinary = |ranges: &[[f32; 2]]| -> Vec<f32> {
            let unit = |rng: &mut dyn FnMut() -> u32| (rng() >> 8) as f32 / 16_777_216.0;
            let mut next = || rng.next_u32();
            ranges
                .iter()
                .map(|[from, to]| from + unit(&mut next) * (to - from))
                .collect()
        };
        let mut worst: (f64, f64, f64) = (0.0, 0.0, 0.0);
        let mut arena = Arena::<256, 64>::new();
        for _ in 0..200 {
            let x: [f32; X] = ordinary(&x).try_into().unwrap();
            let p: [f32; P] = ordinary(&p).try_into().unwrap();
            let (value, by_jets) = F::value_and_gradient(x, p);
            let by_inputs = F::by_inputs(x, p);
            assert_eq!(bits(value), bits(F::value(x, p)));
            assert_eq!(bits(value), bits(by_inputs.value()));

            let tape = arena.tape();
            let (data, params) = (tape.param(&x, [1, X]), tape.param(&p, [P]));
            let result = F::record(data, params);
            assert_eq!(result.shape().dims(), [1], "{}", F::NAME);
            assert_eq!(bits(result.value().unwrap()[0]), bits(value), "{}", F::NAME);
            tape.backward(result.sum()).unwrap();

            let truth = differences(p, |p| F::eval(x.map(|x| Double(x.into())), p));
            let truth_x = differences(x, |x| F::eval(x, p.map(|p| Double(p.into()))));
            let scale = truth
                .iter()
                .chain(&truth_x)
                .fold(0.0, |max: f64, d| max.max(d.abs()));
            let off = |a: f64, b: f64, of: f64| (a - b).abs() / (of.abs() + 0.1 * scale);
            let all = [
                (
                    by_jets.to_vec(),
                    params.grad().unwrap().to_vec(),
                    truth.to_vec(),
                ),
                (
                    by_inputs.derivatives().to_vec(),
                    data.grad().unwrap().to_vec(),
                    truth_x.to_vec(),
                ),
            ];
            for (jets, tape, truth) in all {
                for ((jet, tape), truth) in jets.iter().zip(&tape).zip(&truth) {
                    let (jet, tape) = (f64::from(*jet), f64::from(*tape));
                    worst.0 = worst.0.max(off(jet, *truth, *truth));
                    worst.1 = worst.1.max(off(tape, *truth, *truth));
                    worst.2 = worst.2.max(off(jet, tape, *truth));
                    self.checked += 1;
                }
            }
        }
        let (jet, tape, both) = worst;
        println!(
            "{:<14} jets off by {jet:.1e}, tape by {tape:.1e}, from each other {both:.1e}",
            F::NAME
        );
        assert!(jet.max(tape).max(both) < ALLOWED, "{}", F::NAME);
    }
}

#[test]
fn gradients_by_jets_by_tape_and_by_differences() {
    let mut gradients = Gradients::default();
    models::visit(&mut gradients);
    println!("{} derivatives", gradients.checked);
    assert!(gradients.checked > 10_000);
}

/// Compares the derivatives in lanes with those of one sample.
struct InLanes;

impl Visitor for InLanes {
    fn visit<F: Function<X, P> + 'static, const X: usize, const P: usize>(
        &mut self,
        _: F,
        x: [[f32; 2]; X],
        p: [[f32; 2]; P],
    ) {
        let mut rng = seeded(11);
        let (x, p) = (draw(&x, 4000, &mut rng), draw(&p, 4000, &mut rng));
        for first in (0..4000).step_by(8) {
            let load =
                |column: &Vec<f32>| kernel::f32x8::load(column[first..][..8].try_into().unwrap());
            let jets = F::by_parameters(
                std::array::from_fn(|k| load(&x[k])),
                std::array::from_fn(|k| load(&p[k])),
            );
            let derivatives = jets.derivatives().map(|d| d.to_array());
            for lane in 0..8 {
                let (value, gradient) =
                    F::value_and_gradient(row(&x, first + lane), row(&p, first + lane));
                assert_eq!(
                    bits(jets.value().to_array()[lane]),
                    bits(value),
                    "{}",
                    F::NAME
                );
                for (got, expected) in derivatives.iter().zip(gradient) {
                    assert_eq!(bits(got[lane]), bits(expected), "{}", F::NAME);
                }
            }
        }
    }
}

#[test]
fn derivatives_in_lanes_as_of_one_sample() {
    models::visit(&mut InLanes);
}

// ---- what a model may say --------------------------------------------------------

baregrad::function! {
    /// Literals on either side of operators, and literals alone.
    fn Numbers([x], [a, b]) {
        let k = 0.05 * 2.0;
        let y = 1.0 - k * x;
        (2.0 / a - y * 3.0 + 1.0 / b / 2.0) * (k - 1.0) + (-b + 1.5 - a)
    }
}

#[test]
fn numbers_on_either_side() {
    let expect = |x: f32, a: f32, b: f32| {
        let k = 0.05_f32 * 2.0;
        let y = 1.0 - k * x;
        (2.0 / a - y * 3.0 + 1.0 / b / 2.0) * (k - 1.0) + (-b + 1.5 - a)
    };
    let (x, p) = ([7.0], [0.3, -1.25]);
    assert_eq!(Numbers::value(x, p), expect(7.0, 0.3, -1.25));
    assert_eq!(Numbers::INPUTS, ["x"]);
    assert_eq!(Numbers::PARAMETERS, ["a", "b"]);
    let mut arena = Arena::<64, 32>::new();
    let tape = arena.tape();
    let recorded = Numbers::record(tape.input(&x, [1]), tape.param(&p, [2]));
    assert_eq!(*recorded.value().unwrap(), [expect(7.0, 0.3, -1.25)]);
}

baregrad::function! {
    /// All comparisons, and all operations of masks.
    fn Choice([x], [a, b]) {
        let inside = x.gt(a) & x.le(b);
        let odd = x.lt(a) | x.ne(x) | (!x.eq(b) & x.ge(b));
        let y = x.number(1.0).where_(inside, x.number(2.0));
        (y * x).where_(!odd, 10.0 * y + a)
    }
}

#[test]
fn choices() {
    let at = |x: f32, a: f32, b: f32| {
        let y = if x > a && x <= b { 1.0 } else { 2.0 };
        let odd = x < a || x.is_nan() || x > b;
        if odd { 10.0 * y + a } else { y * x }
    };
    let xs = [-1.0, -0.0, 0.0, 0.5, 1.0, 2.0, f32::NAN, INF, -INF];
    let mut arena = Arena::<512, 64>::new();
    let tape = arena.tape();
    let p = [0.0, 1.0];
    let recorded = Choice::record(tape.input(&xs, [9, 1]), tape.param(&p, [2]));
    for (x, recorded) in xs.into_iter().zip(&*recorded.value().unwrap()) {
        let expected = at(x, 0.0, 1.0);
        assert_eq!(bits(Choice::value([x], p)), bits(expected), "{x}");
        assert_eq!(bits(*recorded), bits(expected), "{x} recorded");
    }
}

/// A derivative that is always 0 is not multiplied, not even by infinity.
#[test]
fn structural_zeros_are_not_multiplied() {
    let (_, gradient) = models::Line::value_and_gradient([INF], [1.0, 0.0]);
    assert_eq!(gradient, [INF, 1.0]);
    let (_, gradient) = models::Cubic::value_and_gradient([INF], [1.0; 4]);
    assert_eq!(gradient, [1.0, INF, INF, INF]);
    let jet = models::Line::by_parameters([1.0_f32], [2.0, 3.0]);
    assert_eq!(jet.live(), 0b11);
    assert_eq!(Jet::<f32, 2>::constant(1.0).live(), 0);
    assert_eq!((2.0 * Jet::<f32, 3>::variable(1.0, 1)).exp().live(), 0b010);
}

/// A branch that is not chosen has no derivative, even if its value is NaN.
#[test]
fn only_the_choice_has_derivatives() {
    let root = |x: Jet<f32, 1>| x.sqrt().where_(x.gt(x.number(0.0)), x.number(0.0));
    let below = root(Jet::variable(-1.0, 0));
    assert_eq!((below.value(), below.derivatives()), (0.0, [0.0]));
    let above = root(Jet::variable(4.0, 0));
    assert_eq!((above.value(), above.derivatives()), (2.0, [0.25]));
}

/// Polynomials work with more coefficients than straight-line code has.
#[test]
fn long_polynomials() {
    fn check<const N: usize>() {
        let c: [f32; N] = std::array::from_fn(|k| 1.0 + k as f32);
        for x in [-1.0_f32, -0.5, 0.0, 0.75, 1.0] {
            let power = |k: usize| f64::from(x).powi(k as i32);
            let turn = |k: usize| (k as f64 * f64::from(x).acos()).cos();
            let sum = |term: &dyn Fn(usize) -> f64| -> f64 {
                (0..N).map(|k| f64::from(c[k]) * term(k)).sum()
            };
            let close = |got: f32, truth: f64| {
                let scale = (N * N + 1) as f64;
                assert!(
                    (f64::from(got) - truth).abs() < 1e-6 * scale,
                    "{N} at {x}: {got}, {truth}"
                );
            };
            close(horner(x, c), sum(&power));
            close(chebyshev(x, c), sum(&turn));
            let jet = chebyshev(
                Jet::<f32, 32>::constant(x),
                std::array::from_fn::<_, N, _>(|k| Jet::variable(c[k], k)),
            );
            for k in 0..N {
                close(jet.derivatives()[k], turn(k));
            }
        }
    }
    check::<0>();
    check::<1>();
    check::<2>();
    check::<3>();
    check::<16>();
    check::<17>();
    check::<32>();
}

/// An error names the operation and the line of the model.
#[test]
fn errors_name_the_line_of_the_model() {
    let mut arena = Arena::<64, 4>::new();
    let tape = arena.tape();
    let (x, p) = (tape.input(&[1.0; 3], [3, 1]), tape.param(&[1.0; 2], [2]));
    let error = Numbers::record(x, p).value().unwrap_err();
    assert!(error.at.file().ends_with("function.rs"), "{error}");
}

/// A column too many or too few is an error.
#[test]
fn errors_name_the_shape_of_the_data() {
    for (x, p) in [(2, 4), (4, 4), (1, 4), (3, 3), (3, 5)] {
        let mut arena = Arena::<128, 32>::new();
        let tape = arena.tape();
        let (data, params) = (vec![1.0; 2 * x], vec![1.0; p]);
        let (x, p) = (tape.input(&data, [2, x]), tape.param(&params, [p]));
        let error = models::Sphere::record(x, p).value().unwrap_err();
        assert_eq!(error.op, "function");
        assert!(
            error.to_string().contains("inputs, or parameters"),
            "{error}"
        );
        assert!(error.at.file().ends_with("function.rs"), "{error}");
    }
}
