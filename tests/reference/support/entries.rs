//! Runs `entries.json`: every operation of the list on ordinary numbers. An operation without a
//! case is a failure, and so is a case that a wrong factor would pass.

use std::collections::BTreeSet;

use baregrad::ops;
use serde::Deserialize;

use super::Report;
use super::ops::{Case, check, guard};

#[derive(Deserialize)]
pub struct File {
    cases: Vec<Case>,
}

pub fn test(file: File) -> Report {
    let mut report = Report::default();
    for case in &file.cases {
        if let Err(why) = guard(|| check(case, &mut report)) {
            report.fail(format!("{} {}: {why}", case.id, case.tag));
        }
    }
    for name in without_case(&file.cases) {
        report.fail(format!(
            "{name} has no reference values: give it a line in tests/golden/torch_ops.py and in \
             entries.py, and run that"
        ));
    }

    // Checks that each case would find an operation that is three times too large, forward or
    // backward, by comparing the right operation with a third of the reference.
    let mut blind = 0;
    for case in &file.cases {
        let [results, gradients] = case.wrong_by(1.0 / 3.0);
        for wrong in [results, gradients].into_iter().flatten() {
            let mut noticed = Report::default();
            let ran = guard(|| check(&wrong, &mut noticed));
            if ran.is_ok() && noticed.failures.is_empty() {
                blind += 1;
                report.fail(format!(
                    "{} {}: a third of it passes, too",
                    case.id, case.tag
                ));
            }
        }
    }
    // Checks that an entry without a case would be found.
    let all_but_tanh = file.cases.into_iter().filter(|case| case.tag != "tanh");
    let all_but_tanh: Vec<_> = all_but_tanh.collect();
    if without_case(&all_but_tanh) != ["tanh"] {
        report.fail("tanh without a case is not missed");
    }
    report.summary = format!(
        "{} cases for {} operations, {blind} of them blind",
        all_but_tanh.len(),
        ops::ALL.iter().copied().flatten().count()
    );
    report
}

/// Returns the entries of the list that have no case whose program is just that operation.
fn without_case(cases: &[Case]) -> Vec<&'static str> {
    let with: BTreeSet<_> = cases
        .iter()
        .filter(|case| case.prog.len() == 1)
        .map(|case| case.prog[0].op.as_str())
        .collect();
    let entries = ops::ALL.iter().copied().flatten();
    let names = entries.map(|entry| entry.name);
    names.filter(|name| !with.contains(name)).collect()
}
