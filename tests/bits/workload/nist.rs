//! NIST's data sets for nonlinear regression, read from NIST's files and
//! solved from both starts, in pairs of `f32`.

use baregrad::function::{Function, TwoFloat};
use baregrad::least_squares::{CurveFit, LevenbergMarquardt};

use super::{Digest, Group};
use models::{Chwirut, Cubics, DanWood, Gauss, Kirby2, Mgh17, Misra1a, Misra1b, Rat42};

#[allow(dead_code)] // models of sets that do not come with the crate
#[path = "../../../examples/nist/models.rs"]
mod models;

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("../../../examples/data/nist/", $name, ".dat"))
    };
}

/// NIST's sets of two and three parameters.
pub const NIST_SMALL: Group = Group {
    name: "nist-small",
    run: |digest| {
        small(digest);
        Ok(())
    },
    stack: 6000,
    digest: 0x7448_7d9f_130e_11c5,
};

/// NIST's other sets, of up to eight parameters and 250 rows.
pub const NIST: Group = Group {
    name: "nist",
    run: |digest| {
        large(digest);
        Ok(())
    },
    stack: 16000,
    digest: 0xd0ae_e77e_387e_7e55,
};

/// Solves the sets of two and three parameters.
fn small(digest: &mut Digest) {
    solve::<_, 2, 16>(digest, Misra1a, file!("Misra1a"));
    solve::<_, 2, 16>(digest, Misra1b, file!("Misra1b"));
    solve::<_, 2, 16>(digest, DanWood, file!("DanWood"));
    solve::<_, 3, 16>(digest, Rat42, file!("Rat42"));
    solve::<_, 3, 56>(digest, Chwirut, file!("Chwirut2"));
}

/// Solves the other sets.
fn large(digest: &mut Digest) {
    solve::<_, 5, 40>(digest, Mgh17, file!("MGH17"));
    solve::<_, 5, 152>(digest, Kirby2, file!("Kirby2"));
    solve::<_, 7, 40>(digest, Cubics, file!("Thurber"));
    solve::<_, 8, 256>(digest, Gauss, file!("Gauss1"));
}

/// Parses the numbers of a line.
fn numbers(line: &str) -> impl Iterator<Item = TwoFloat> + '_ {
    line.split_ascii_whitespace()
        .map_while(|word| word.parse().ok())
}

/// Solves a set with one input and up to `N` rows from both starts.
#[inline(never)]
fn solve<F: Function<1, P> + Copy, const P: usize, const N: usize>(
    digest: &mut Digest,
    model: F,
    text: &str,
) {
    let mut starts = [[0.0; P]; 2];
    let (mut parameters, mut rows, mut in_data) = (0, 0, false);
    let (mut x, mut x_low, mut y, mut y_low) = ([0.0; N], [0.0; N], [0.0; N], [0.0; N]);
    for line in text.lines() {
        if line.starts_with("Data:") {
            // The last line with `Data:` is above the columns.
            (in_data, rows) = (true, 0);
        } else if in_data {
            let mut columns = numbers(line);
            let columns = [&mut x, &mut y]
                .into_iter()
                .zip([&mut x_low, &mut y_low])
                .zip(
                    [
                        // y is the first column.
                        columns.next(),
                        columns.next(),
                    ]
                    .into_iter()
                    .rev(),
                );
            let mut is_row = false;
            for ((high, low), number) in columns {
                if let (Some(high), Some(low), Some(number)) =
                    (high.get_mut(rows), low.get_mut(rows), number)
                {
                    (*high, *low, is_row) = (number.high(), number.low(), true);
                }
            }
            rows += usize::from(is_row);
        } else if let Some((label, values)) = line.split_once('=')
            && matches!(label.trim().as_bytes(), [b'b', b'0'..=b'9', ..])
        {
            let [first, second] = &mut starts;
            for (start, value) in [first, second].into_iter().zip(numbers(values)) {
                if let Some(start) = start.get_mut(parameters) {
                    *start = value.to_f32();
                }
            }
            parameters += 1;
        }
    }
    let problem = CurveFit::<F, 1>::new(
        model,
        x.get(..rows).unwrap_or_default(),
        y.get(..rows).unwrap_or_default(),
    );
    let problem = problem.in_pairs().low(&x_low, &y_low);
    for start in starts {
        let solution = LevenbergMarquardt::new(start).run(&problem);
        digest.add(&solution.params());
        digest.add(&solution.standard_errors().unwrap_or([f32::NAN; P]));
        let converged = f32::from(u8::from(solution.is_converged()));
        digest.add(&[
            solution.passes() as f32,
            converged,
            rows as f32,
            parameters as f32,
        ]);
    }
}
