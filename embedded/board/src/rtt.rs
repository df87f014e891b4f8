//! The console of a debug probe: text in a buffer that the probe reads. Nobody
//! waits for an exit code there, so the end is a last line and a halt.

use core::fmt::Arguments;
use core::panic::PanicInfo;

use rtt_target::{ChannelMode, rprint, rtt_init_print};

/// Makes the buffer known. It waits for the probe when full: nothing is lost.
pub fn start() {
    rtt_init_print!(ChannelMode::BlockIfFull, 256);
}

/// Prints on the console.
pub fn print(text: Arguments<'_>) {
    rprint!("{}", text);
}

/// Says how it ended, and stays there.
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
