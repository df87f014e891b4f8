//! The calibrator on the Netduino Plus 2, or another board with an STM32F405:
//! Cortex-M4F, 128 KiB RAM. The serial line is USART 1: PA9 sends, PA10
//! receives.

#![no_std]
#![no_main]

use core::ops::Range;

use calibrator::{Board, Calibrator, Damaged, FLOATS, Memory, Ram};
use firmware::Ticks;
use stm32f4xx_hal::pac::{ADC_COMMON, ADC1, Peripherals, USART1};
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::{Config, Enable, Reset};
use stm32f4xx_hal::serial::{Config as SerialConfig, Serial};

mod flash;

use flash::Flash;

const RAM: Range<usize> = 0x2000_0000..0x2002_0000;
const SAMPLES: usize = 256;

#[cortex_m_rt::entry]
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

struct Netduino {
    serial: Serial<USART1>,
    flash: Flash,
    adc: ADC1,
    adcs: ADC_COMMON,
    ticks: Ticks,
}

/// Sets up the peripherals. Returns `None` if one does not start.
fn start() -> Option<Netduino> {
    let (core, chip) = (cortex_m::Peripherals::take()?, Peripherals::take()?);
    // The internal oscillator, 16 MHz, which does not depend on the board's crystal.
    let mut rcc = chip.RCC.freeze(Config::hsi());
    let pins = chip.GPIOA.split(&mut rcc);
    let line = SerialConfig::default().baudrate(115_200.bps());
    let serial = Serial::new(chip.USART1, (pins.pa9, pins.pa10), line, &mut rcc).ok()?;
    ADC1::enable(&mut rcc);
    ADC1::reset(&mut rcc);
    Some(Netduino {
        serial,
        flash: Flash::new(chip.FLASH),
        adc: chip.ADC1,
        adcs: chip.ADC_COMMON,
        ticks: Ticks::new(core.SYST),
    })
}

impl Board for Netduino {
    const NAME: &'static str = "STM32F405";
    const PAGES: Range<u32> = 0..Flash::SIZE as u32;
    type Flash = Flash;

    fn flash(&mut self) -> &mut Flash {
        &mut self.flash
    }

    fn receive(&mut self) -> Option<Result<u8, Damaged>> {
        match self.serial.read() {
            Ok(byte) => Some(Ok(byte)),
            Err(nb::Error::WouldBlock) => None,
            Err(nb::Error::Other(_)) => Some(Err(Damaged)),
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        for byte in bytes {
            // Sending does not fail.
            let _ = nb::block!(self.serial.write(*byte));
        }
    }

    /// The chip's temperature sensor, as the converter's raw count, which a fit turns into °C.
    /// It writes the registers itself, because the HAL reads factory calibration from memory that
    /// QEMU does not have.
    fn sense(&mut self) -> Option<f32> {
        const SENSOR: u8 = 16;
        /// The sensor starts within 10 µs, a conversion takes 62.
        const PATIENCE: u32 = 2_000;
        let adc = &self.adc;
        self.adcs.ccr().write(|w| w.tsvrefe().set_bit());
        adc.cr2().write(|w| w.adon().set_bit());
        cortex_m::asm::delay(PATIENCE);
        adc.smpr1().write(|w| w.smp16().cycles480());
        // SAFETY: the sensor's channel is a valid value.
        adc.sqr3().write(|w| unsafe { w.sq1().bits(SENSOR) });
        adc.cr2().write(|w| w.adon().set_bit().swstart().set_bit());
        let mut tries = 0..PATIENCE;
        tries.find(|_| adc.sr().read().eoc().bit_is_set())?;
        Some(adc.dr().read().data().bits().into())
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
