//! The command `status`.

use super::{Calibrator, Origin, store};
use crate::board::Board;
use crate::console::{put, say};
use crate::failure::Failure;
use crate::kept::Name;
use crate::rule::Whose;
use crate::store::{COPIES, StoreError};

impl<B: Board> Calibrator<'_, B> {
    #[inline(never)]
    pub(super) fn status(&mut self) {
        let board = &mut self.board;
        let [count, capacity] = [
            self.samples.readings.len(),
            self.samples.readings.capacity(),
        ];
        say!(board, "board {}", B::NAME);
        match self.boots {
            Ok(boots) => say!(board, "boots {boots}"),
            Err(error) => say!(board, "boots not counted: {error}"),
        }
        say!(board, "samples {count} of {capacity}");
        say!(board, "model {}", self.plan.curve);
        match self.plan.method::<B>() {
            Ok(method) => say!(board, "method {method}"),
            Err(error) => say!(board, "method of no use: {error}"),
        }
        put!(board, "optimizer ");
        self.say_setting(Whose::Optimizer);
        let board = &mut self.board;
        match B::SCHEDULES {
            [] => say!(board, "schedule off, {}", Failure::Schedule(&[])),
            _ => {
                put!(board, "schedule ");
                self.say_setting(Whose::Schedule);
            }
        }
        let board = &mut self.board;
        match self.origin {
            Origin::None => say!(board, "calibration none"),
            origin => match Name::of(self.records.current.bytes()) {
                Ok(name) => say!(board, "calibration {} {name}", origin.name()),
                Err(error) => say!(board, "calibration {error}"),
            },
        }
        self.say_stored();
        let board = &mut self.board;
        match self.usage {
            Some(usage) => say!(board, "arena {usage}"),
            None => say!(board, "arena of {} floats", self.scratch.floats),
        }
        if let Some(ram) = board.ram() {
            say!(board, "ram {} of {} bytes", ram.used, ram.total);
        }
        say!(board, "ok");
    }

    /// Sends the name of the saved calibration, or the reason why there is none.
    #[inline(never)]
    pub(super) fn say_stored(&mut self) {
        match store(&mut self.board).and_then(|mut store| store.look(&mut Name::of)) {
            Ok(stored) => {
                put!(&mut self.board, "stored {stored}");
                // A start of the firmware repairs damage, so a page that still lags is worn out.
                let copies = store(&mut self.board).and_then(|mut store| store.whole_copies());
                if let Ok(copies) = copies
                    && copies < COPIES
                {
                    put!(&mut self.board, " in {copies} of {COPIES} copies");
                }
                self.board.send(b"\r\n");
            }
            Err(StoreError::Empty) => say!(self.board_mut(), "stored none"),
            Err(error) => say!(self.board_mut(), "stored nothing of use: {error}"),
        }
    }
}
