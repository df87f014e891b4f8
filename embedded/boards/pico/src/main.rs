//! The calibrator on the Raspberry Pi Pico: RP2040, Cortex-M0+, 264 KiB RAM. The
//! serial line is UART 0: GP0 (pin 1) sends, GP1 (pin 2) receives.

#![no_std]
#![no_main]

use core::ops::Range;

use calibrator::{Board, Calibrator, Damaged, FLOATS, Memory, Ram};
use embedded_hal_02::adc::OneShot;
use firmware::Ticks;
use rp2040_hal::adc::TempSense;
use rp2040_hal::clocks::init_clocks_and_plls;
use rp2040_hal::fugit::RateExtU32;
use rp2040_hal::gpio::bank0::{Gpio0, Gpio1};
use rp2040_hal::gpio::{FunctionUart, Pin, Pins, PullDown};
use rp2040_hal::pac::{Peripherals, UART0};
use rp2040_hal::uart::{DataBits, Enabled, StopBits, UartConfig, UartPeripheral};
use rp2040_hal::{Adc, Clock, Sio, Watchdog};

mod flash;

use flash::Flash;

/// The second-stage boot loader for the Pico's flash chip.
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

const RAM: Range<usize> = 0x2000_0000..0x2004_0000;
const SAMPLES: usize = 512;
const CRYSTAL_HZ: u32 = 12_000_000;

#[rp2040_hal::entry]
fn main() -> ! {
    firmware::stack::paint();
    match start() {
        Some(board) => {
            let mut memory = Memory::<SAMPLES, FLOATS>::new();
            Calibrator::new(board, &mut memory).run()
        }
        None => cortex_m::peripheral::SCB::sys_reset(),
    }
}

type UartPin<Id> = Pin<Id, FunctionUart, PullDown>;

struct Pico {
    uart: UartPeripheral<Enabled, UART0, (UartPin<Gpio0>, UartPin<Gpio1>)>,
    flash: Flash,
    adc: Adc,
    temperature: TempSense,
    ticks: Ticks,
}

/// Sets up the peripherals. Returns `None` if one does not start.
fn start() -> Option<Pico> {
    let (core, mut chip) = (cortex_m::Peripherals::take()?, Peripherals::take()?);
    let mut watchdog = Watchdog::new(chip.WATCHDOG);
    let clocks = init_clocks_and_plls(
        CRYSTAL_HZ,
        chip.XOSC,
        chip.CLOCKS,
        chip.PLL_SYS,
        chip.PLL_USB,
        &mut chip.RESETS,
        &mut watchdog,
    )
    .ok()?;
    let sio = Sio::new(chip.SIO);
    let pins = Pins::new(
        chip.IO_BANK0,
        chip.PADS_BANK0,
        sio.gpio_bank0,
        &mut chip.RESETS,
    );
    let line = UartConfig::new(115_200.Hz(), DataBits::Eight, None, StopBits::One);
    let pins = (pins.gpio0.into_function(), pins.gpio1.into_function());
    let uart = UartPeripheral::new(chip.UART0, pins, &mut chip.RESETS)
        .enable(line, clocks.peripheral_clock.freq())
        .ok()?;
    let mut adc = Adc::new(chip.ADC, &mut chip.RESETS);
    Some(Pico {
        uart,
        flash: Flash,
        temperature: adc.take_temp_sensor()?,
        adc,
        ticks: Ticks::new(core.SYST),
    })
}

impl Board for Pico {
    const NAME: &'static str = "Raspberry Pi Pico";
    const PAGES: Range<u32> = 0..Flash::SIZE as u32;
    type Flash = Flash;

    fn flash(&mut self) -> &mut Flash {
        &mut self.flash
    }

    fn receive(&mut self) -> Option<Result<u8, Damaged>> {
        let mut byte = [0];
        match self.uart.read_raw(&mut byte) {
            Ok(_) => {
                let [byte] = byte;
                Some(Ok(byte))
            }
            Err(nb::Error::WouldBlock) => None,
            Err(nb::Error::Other(_)) => Some(Err(Damaged)),
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.uart.write_full_blocking(bytes);
    }

    /// The chip's temperature sensor, as the converter's raw count, which a fit turns into °C.
    fn sense(&mut self) -> Option<f32> {
        let count: u16 = nb::block!(self.adc.read(&mut self.temperature)).ok()?;
        Some(count.into())
    }

    fn ticks(&mut self) -> (u64, &'static str) {
        self.ticks.now()
    }

    fn ram(&self) -> Option<Ram> {
        Some(Ram {
            used: firmware::stack::used(),
            total: RAM.len(),
        })
    }
}
