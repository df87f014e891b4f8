//! The console of a debug probe: text in a buffer that the probe reads. RTT has no exit code, so
//! `exit` prints the code as the last line and halts.

use core::fmt::Arguments;
use core::panic::PanicInfo;

use rtt_target::{ChannelMode, rprint, rtt_init_print};

/// Sets up the buffer. Printing waits for the probe when the buffer is full, so nothing is lost.
pub fn start() {
    rtt_init_print!(ChannelMode::BlockIfFull, 256);
}

/// Prints on the console.
pub fn print(text: Arguments<'_>) {
    rprint!("{}", text);
}

/// Prints the exit code and halts.
pub fn exit(code: i32) -> ! {
    crate::println!("exit {code}");
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    crate::println!("{info}");
    exit(1)
}
