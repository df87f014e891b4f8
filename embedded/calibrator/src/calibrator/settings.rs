//! The commands `optimizer` and `schedule`.

use baregrad::calibrate::TwoFloat;

use super::{Calibrator, number};
use crate::board::Board;
use crate::console::{Number, put, say};
use crate::failure::Failure;
use crate::options::Options;
use crate::plan::{Method, Plan};
use crate::rule::{RateSchedule, Rule, Setting, Whose};

impl<B: Board> Calibrator<'_, B> {
    /// Chooses an optimizer, after a trial step with its options and the schedule.
    #[inline(never)]
    pub(super) fn optimizer(&mut self, name: &str, lr: &str, text: &str) -> Result<(), Failure> {
        let rule = Rule::find(B::RULES, name).ok_or(Failure::Rule(B::RULES))?;
        let lr = number(lr, "lr").map_or(0.0, TwoFloat::high);
        if lr <= 0.0 {
            return Err(Failure::LearningRate);
        }
        // Firmware without schedules has no options either, and does not link the code that reads
        // them.
        if B::SCHEDULES.is_empty() {
            if text.split_ascii_whitespace().nth(3).is_some() {
                return Err(Failure::Options(&[]));
            }
        } else {
            let options = options(text, 3);
            let texts = &mut self.scratch.texts;
            let setting = Setting {
                rule,
                lr,
                options,
                ..self.plan.setting::<B>(texts)
            };
            setting.check()?;
            texts.set(Whose::Optimizer, options);
        }
        (self.plan.rule, self.plan.lr) = (rule, lr);
        self.plan.method = Some(Method::Descent);
        put!(&mut self.board, "ok ");
        self.say_setting(Whose::Optimizer);
        Ok(())
    }

    /// Chooses a schedule, after a trial step with the optimizer; `off` chooses none.
    #[inline(never)]
    pub(super) fn schedule(&mut self, name: &str, text: &str) -> Result<(), Failure> {
        let is_off = name == "off" && text.split_ascii_whitespace().nth(2).is_none();
        if B::SCHEDULES.is_empty() {
            if !is_off {
                return Err(Failure::Schedule(&[]));
            }
            say!(&mut self.board, "ok off");
            return Ok(());
        }
        let options = options(text, 2);
        let found = RateSchedule::find(B::SCHEDULES, name);
        let texts = &mut self.scratch.texts;
        match found {
            None if is_off => self.plan.schedule = None,
            None => return Err(Failure::Schedule(B::SCHEDULES)),
            Some(schedule) => {
                let setting = Setting {
                    schedule: Some((schedule, options)),
                    ..self.plan.setting::<B>(texts)
                };
                setting.check()?;
                texts.set(Whose::Schedule, options);
                self.plan.schedule = found;
                self.plan.method = Some(Method::Descent);
            }
        }
        put!(&mut self.board, "ok ");
        self.say_setting(Whose::Schedule);
        Ok(())
    }

    /// Sends the optimizer or the schedule with its options, in the syntax of the command.
    #[inline(never)]
    pub(super) fn say_setting(&mut self, whose: Whose) {
        let Plan {
            rule, lr, schedule, ..
        } = self.plan;
        let board = &mut self.board;
        if B::SCHEDULES.is_empty() {
            return say!(board, "{rule} {}", Number::Single(lr));
        }
        match (whose, schedule) {
            (Whose::Optimizer, _) => put!(board, "{rule} {}", Number::Single(lr)),
            (Whose::Schedule, Some(schedule)) => put!(board, "{schedule}"),
            (Whose::Schedule, None) => return say!(board, "off"),
        }
        let options = self.scratch.texts.get(whose).0;
        if !options.is_empty() {
            put!(board, " {options}");
        }
        board.send(b"\r\n");
    }
}

/// Returns the options behind the first `words` words of a line.
fn options(text: &str, words: usize) -> Options<'_> {
    let mut rest = text.trim_ascii();
    for _ in 0..words {
        let end = rest.find([' ', '\t']).unwrap_or(rest.len());
        rest = rest.get(end..).unwrap_or_default().trim_ascii_start();
    }
    Options(rest)
}
