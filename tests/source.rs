//! Tests that functions printed as Rust and as C99 give the same bits for a million readings each.
//!
//! With `BAREGRAD_EXPORT=FOLDER` it writes the program in C to this folder, for other compilers
//! (`embedded/export.sh`).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

#[path = "common/cc.rs"]
mod cc;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use baregrad::function;
use baregrad::function::models::{self, Visitor};
use baregrad::function::source::Source;
use baregrad::function::{Function, Real};
use baregrad::random::{Uniform, seeded};
use cc::has_cc;

/// The number of readings of each model.
const READINGS: u32 = 1 << 20;
/// The number of readings in a digest. A failure names the block.
const BLOCK: u32 = 1 << 14;

function! {
    /// Elementary functions that no model of the list uses.
    fn Elementary([x, y], [a, b]) {
        let waves = (a * x).sin() + (b * y).cos() + (1e4 * x).sin() + (2e4 * y).cos();
        let steps = (a * x).tanh() + (b * y).erf() + x.exp_m1() + y.softplus() - x.relu();
        waves + steps * (x.silu() + y.gelu() + x.gelu_tanh())
    }
}

function! {
    /// Elementary functions that models seldom use.
    fn Seldom([x, y], [a, b]) {
        let logs = (a * x).ln_1p() + x.log2() * b + y.log10() + x.rsqrt() - y.reciprocal();
        let arcs = x.atan2(y) + (0.2 * a * x).asin() - (0.2 * b * y).acos() + (a * x).sign();
        let steps = x.mish() + y.hardswish() + x.hardsigmoid() - y.selu();
        let of = |y: f32| x.number(y);
        logs.where_(logs.gt(of(-100.0)), of(1.0)) + arcs.where_(arcs.gt(of(-100.0)), of(2.0))
            + steps * (a * x).tan() + (2e4 * y).tan()
    }
}

function! {
    /// Powers, roots, choices and constants.
    fn Choices([x, y, z], [a, b, c]) {
        let power = (x.abs() + 0.5).powf(1.7) + y.powi(5) + z.powi(-2) + x.abs().pow(b);
        let chosen = (a * x).where_(x.lt(y) & !z.ge(c), b / y);
        chosen.maximum(z).minimum(power) + (x * x + y * y).sqrt() - (-1.5 * a)
    }
}

function! {
    /// A model without operations.
    fn Same([x], []) { x }
}

function! {
    /// A model that does not depend on its input.
    fn Constant([x], [a]) { (x * 0.0 + a).number(-0.1) }
}

/// A generator of readings that uses only integers, so that C and Rust draw the same ones: of every
/// four, three are in a range, and one has any bits.
struct Readings(u32);

impl Readings {
    fn word(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    fn next(&mut self, [from, width]: [f32; 2]) -> f32 {
        let word = self.word();
        if word & 3 == 3 {
            f32::from_bits(self.word())
        } else {
            from + width * ((word >> 8) as f32 * (1.0 / 16_777_216.0))
        }
    }
}

const READINGS_RUST: &str = "
struct Readings(u32);
impl Readings {
    fn word(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
    fn next(&mut self, from: u32, width: u32) -> f32 {
        let word = self.word();
        if word & 3 == 3 {
            f32::from_bits(self.word())
        } else {
            f32::from_bits(from) + f32::from_bits(width) * ((word >> 8) as f32 * (1.0 / 16_777_216.0))
        }
    }
}
fn take(digest: u32, y: f32) -> u32 {
    let bits = if y.is_nan() { 0x7fc0_0000 } else { y.to_bits() };
    (digest ^ bits).wrapping_mul(16_777_619).rotate_left(5)
}
";

const READINGS_C: &str = "
static uint32_t seed;
static uint32_t word(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}
static float number(uint32_t bits)
{
    union { uint32_t bits; float number; } to;
    to.bits = bits;
    return to.number;
}
static float next(uint32_t from, uint32_t width)
{
    const uint32_t drawn = word();
    if ((drawn & 3u) == 3u) {
        return number(word());
    } else {
        const float part = (float)(drawn >> 8) * 0x1p-24f;
        const float up = number(width) * part;
        return number(from) + up;
    }
}
static uint32_t take(uint32_t digest, float y)
{
    union { float number; uint32_t bits; } to;
    to.number = y;
    digest ^= y != y ? 0x7fc00000u : to.bits;
    digest *= 16777619u;
    return digest << 5 | digest >> 27;
}
";

fn take(digest: u32, y: f32) -> u32 {
    let bits = if y.is_nan() { 0x7fc0_0000 } else { y.to_bits() };
    (digest ^ bits).wrapping_mul(16_777_619).rotate_left(5)
}

/// Programs that compute digests of all models and compare them with the crate's.
#[derive(Default)]
struct Programs {
    count: u32,
    rust: String,
    rust_main: String,
    c: String,
    c_main: String,
}

impl Visitor for Programs {
    fn visit<F: Function<X, P> + 'static, const X: usize, const P: usize>(
        &mut self,
        _: F,
        x: [[f32; 2]; X],
        p: [[f32; 2]; P],
    ) {
        let k = self.count;
        self.count += 1;
        let mut rng = seeded(u64::from(k));
        let params = p.map(|[from, to]| Uniform::new(from, to).unwrap().sample(&mut rng));
        let ranges = x.map(|[from, to]| [from, to - from]);

        let seed = 0x9e37_79b9 ^ k;
        let mut readings = Readings(seed);
        let (mut digests, mut digest, mut finite) = (Vec::new(), 0, 0);
        for n in 1..=READINGS {
            let y = F::value(ranges.map(|range| readings.next(range)), params);
            digest = take(digest, y);
            finite += u32::from(y.is_finite());
            if n % BLOCK == 0 {
                digests.push(digest);
            }
        }
        assert!(finite > READINGS / 8, "{}", F::NAME);
        println!("{:<14} {READINGS} readings, {finite} finite", F::NAME);

        let source = Source::fitted::<F, X, P>(params)
            .named(&format!("fitted {k}"))
            .range(x);
        let digests: Vec<_> = digests.iter().map(|digest| format!("{digest}")).collect();
        let (count, digests) = (digests.len(), digests.join(", "));
        writeln!(self.rust, "{}", source.rust()).unwrap();
        writeln!(self.c, "{}", source.c()).unwrap();
        let of = |format: &dyn Fn(usize, [f32; 2]) -> String| {
            let parts = ranges
                .iter()
                .enumerate()
                .map(|(i, range)| format(i, *range));
            parts.collect::<Vec<_>>()
        };
        let bits = |[from, width]: [f32; 2]| format!("{}, {}", from.to_bits(), width.to_bits());
        let draw = of(&|i, range| format!("let x{i} = readings.next({});", bits(range)));
        let names = of(&|i, _| format!("x{i}")).join(", ");
        writeln!(
            self.rust_main,
            "    let (mut readings, mut digest) = (Readings({seed}), 0);
    for (block, expected) in [{digests}_u32].into_iter().enumerate() {{
        for _ in 0..{BLOCK} {{
            {}
            digest = take(digest, fitted_{k}({names}));
        }}
        assert_eq!(digest, expected, \"{} in block {{block}}\");
    }}",
            draw.join(" "),
            F::NAME
        )
        .unwrap();
        let draw = of(&|i, range| format!("const float x{i} = next({});", bits(range)));
        writeln!(
            self.c_main,
            "    {{
        static const uint32_t expected[{count}] = {{{}}};
        uint32_t digest = 0, block, n;
        seed = {seed}u;
        for (block = 0; block < {count}u; block++) {{
            for (n = 0; n < {BLOCK}u; n++) {{
                {}
                digest = take(digest, fitted_{k}({names}));
            }}
            if (digest != expected[block]) {{
                say(\"other bits: {}\\n\");
                failed++;
                break;
            }}
        }}
    }}",
            digests.replace(", ", "u, ") + "u",
            draw.join(" "),
            F::NAME
        )
        .unwrap();
    }
}

impl Programs {
    fn new() -> Self {
        let mut programs = Programs::default();
        models::visit(&mut programs);
        const WIDE: [f32; 2] = [-4.0, 4.0];
        programs.visit(Elementary, [WIDE; 2], [[0.5, 2.0]; 2]);
        programs.visit(Elementary, [[-1e6, 1e6]; 2], [[0.5, 2.0]; 2]);
        programs.visit(Seldom, [WIDE; 2], [[0.5, 2.0]; 2]);
        programs.visit(Choices, [WIDE; 3], [[0.5, 2.0]; 3]);
        programs.visit(Same, [WIDE], []);
        programs.visit(Constant, [WIDE], [[0.5, 2.0]]);
        programs
    }

    fn rust(&self) -> String {
        let Programs {
            rust, rust_main, ..
        } = self;
        format!("#![allow(unused)]\n{rust}{READINGS_RUST}\nfn main() {{\n{rust_main}}}\n")
    }

    /// Returns the program in C. Its function `check` returns the number of models with other bits,
    /// and reports them through `say`.
    fn c(&self) -> String {
        let Programs { c, c_main, .. } = self;
        format!(
            "{c}{READINGS_C}\nint check(void (*say)(const char *));\n\
             int check(void (*say)(const char *))\n{{\n    int failed = 0;\n{c_main}\
             \n    return failed;\n}}\n"
        )
    }
}

const MAIN_C: &str = "
#include <stdio.h>
static void say(const char *text)
{
    fputs(text, stdout);
}
int main(void)
{
    return check(say);
}
";

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let (out, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command:?}: {out}{errors}");
}

/// One test for all compilers, because computing the crate's own bits takes longest.
#[test]
fn printed_functions_have_the_same_bits() {
    let programs = Programs::new();
    let export = std::env::var_os("BAREGRAD_EXPORT");
    if let Some(folder) = &export {
        std::fs::write(Path::new(folder).join("check.c"), programs.c()).unwrap();
    }
    // With an export folder the test works there, because another run may use the usual folder.
    let usual = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = export.as_deref().map_or(usual, Path::new).join("source");
    std::fs::create_dir_all(&folder).unwrap();
    let program = folder.join("printed");

    // The compiler beside this cargo.
    let rustc = Path::new(env!("CARGO")).with_file_name("rustc");
    std::fs::write(folder.join("printed.rs"), programs.rust()).unwrap();
    run(Command::new(&rustc)
        .args(["--edition=2024", "-O", "-o"])
        .arg(&program)
        .arg(folder.join("printed.rs")));
    run(&mut Command::new(&program));

    if !has_cc() {
        return;
    }
    std::fs::write(folder.join("printed.c"), programs.c() + MAIN_C).unwrap();
    let warnings = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-std=c99"];
    for levels in [["-O0", "-fmath-errno"], ["-O2", "-fno-math-errno"]] {
        run(Command::new("cc")
            .args(warnings)
            .args(levels)
            .args(["-ffp-contract=off", "-o"])
            .arg(&program)
            .arg(folder.join("printed.c"))
            .arg("-lm"));
        run(&mut Command::new(&program));
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn c_is_refused_where_bits_would_differ() {
    if !has_cc() {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("source-fast");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("line.c");
    let source = Source::fitted::<models::Line, 1, 2>([0.5, -2.0]);
    std::fs::write(&file, source.c()).unwrap();
    let compile = |option: &str| {
        let mut cc = Command::new("cc");
        cc.args(["-std=c99", "-c", "-o", "/dev/null", option])
            .arg(&file);
        cc.output().unwrap()
    };
    assert!(compile("-O2").status.success());
    let output = compile("-ffast-math");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("found -ffast-math"));
    std::fs::remove_dir_all(folder).unwrap();
}

/// Names that are keywords of C or Rust, or that end comments, are printed safely.
#[test]
fn names_and_comments_are_safe() {
    struct Awkward;
    impl Function<3, 1> for Awkward {
        const NAME: &'static str = "half */ a\nline";
        const INPUTS: [&'static str; 3] = ["int", "fn", "v0"];
        const PARAMETERS: [&'static str; 1] = ["x y"];
        #[inline(always)]
        fn eval<S: Real>([x, y, z]: [S; 3], [p]: [S; 1]) -> S {
            x.abs() + y.sqrt() * (z - p)
        }
    }
    let source = Source::fitted::<Awkward, 3, 1>([f32::INFINITY]).range([[0.0, 1.0]; 3]);
    let (rust, c) = (source.rust(), source.c());
    assert!(rust.contains("pub fn calibrated(x0: f32, x1: f32, x2: f32) -> f32 {"));
    assert!(c.contains("float calibrated(float x0, float x1, float x2);"));
    assert!(c.contains("calibrated_number(0x7f800000u)"));
    assert!(c.contains("int from 0.0 to 1.0, fn from 0.0 to 1.0, v0 from 0.0 to 1.0"));
    assert_eq!(c.matches("*/").count(), c.matches("/*").count());
    assert_eq!(
        rust.lines()
            .filter(|line| line.starts_with("/// half"))
            .count(),
        1
    );
    let named = source.named("°C of while");
    assert!(named.c().contains("float _c_of_while("), "{}", named.c());
    // An input that has the name of the derivatives' array.
    struct Gradient;
    impl Function<1, 1> for Gradient {
        const NAME: &'static str = "gradient";
        const INPUTS: [&'static str; 1] = ["v_gradient"];
        const PARAMETERS: [&'static str; 1] = ["huge_sin_angle"];
        #[inline(always)]
        fn eval<S: Real>([x]: [S; 1], [p]: [S; 1]) -> S {
            (p * x).sin()
        }
    }
    let gradient = Source::with_gradient::<Gradient, 1, 1>();
    let arguments = "(float x0, float p0, float v_gradient[1])";
    assert!(gradient.c().contains(arguments), "{}", gradient.c());
    assert!(
        gradient.rust().contains("([x0]: [f32; 1], [p0]: [f32; 1])"),
        "{}",
        gradient.rust()
    );
    // With derivatives, parameters are arguments.
    let c = Source::with_gradient::<models::Line, 1, 2>().c();
    assert!(c.contains("float line(float x, float w, float b, float v_gradient[2])"));
    assert!(
        c.contains("    v_gradient[0] = v1;\n    v_gradient[1] = 0x1p0f;\n"),
        "{c}"
    );
}
