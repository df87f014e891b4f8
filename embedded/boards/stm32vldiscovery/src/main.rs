//! The calibrator on the STM32VLDISCOVERY: STM32F100, Cortex-M3, 8 KiB RAM. The
//! serial line is USART 1: PA9 sends, PA10 receives.
//!
//! The RAM has no room for schedules and for options of optimizers: this calibrator has SGD and
//! Adam with their defaults, and all other commands.

#![no_std]
#![no_main]

use core::ops::Range;

use calibrator::{Board, Calibrator, Damaged, FEW_RULES, FLOATS, Memory, Ram};
use calibrator::{RateSchedule, Rule};
use firmware::Ticks;
use stm32f1xx_hal::flash::FlashExt;
use stm32f1xx_hal::pac::{ADC1, Peripherals, USART1};
use stm32f1xx_hal::prelude::*;
use stm32f1xx_hal::rcc::{Enable, Reset};
use stm32f1xx_hal::serial::{Config, Serial};

mod flash;

use flash::Flash;

const RAM: Range<usize> = 0x2000_0000..0x2000_2000;
const SAMPLES: usize = 48;

#[cortex_m_rt::entry]
fn main() -> ! {
    firmware::stack::paint();
    match start() {
        Some(board) => {
            let mut memory = Memory::<SAMPLES, FLOATS, 0>::new();
            Calibrator::new(board, &mut memory).run()
        }
        None => cortex_m::peripheral::SCB::sys_reset(),
    }
}

struct Discovery {
    serial: Serial<USART1>,
    flash: Flash,
    adc: ADC1,
    ticks: Ticks,
}

/// Sets up the peripherals. Returns `None` if they were taken before.
fn start() -> Option<Discovery> {
    let (core, chip) = (cortex_m::Peripherals::take()?, Peripherals::take()?);
    // The internal oscillator, 8 MHz, as after reset.
    let mut rcc = chip.RCC.constrain();
    let mut pins = chip.GPIOA.split(&mut rcc);
    let transmit = pins.pa9.into_alternate_push_pull(&mut pins.crh);
    let line = Config::default().baudrate(115_200.bps());
    let serial = chip.USART1.serial((transmit, pins.pa10), line, &mut rcc);
    ADC1::enable(&mut rcc);
    ADC1::reset(&mut rcc);
    Some(Discovery {
        serial,
        flash: Flash::new(chip.FLASH.constrain()),
        adc: chip.ADC1,
        ticks: Ticks::new(core.SYST),
    })
}

impl Board for Discovery {
    const NAME: &'static str = "STM32VLDISCOVERY";
    const PAGES: Range<u32> = 0..Flash::SIZE as u32;
    type Flash = Flash;
    const SOLVED: usize = 4;
    const RULES: &'static [Rule] = FEW_RULES;
    const SCHEDULES: &'static [RateSchedule] = &[];

    fn flash(&mut self) -> &mut Flash {
        &mut self.flash
    }

    fn receive(&mut self) -> Option<Result<u8, Damaged>> {
        match self.serial.rx.read() {
            Ok(byte) => Some(Ok(byte)),
            Err(nb::Error::WouldBlock) => None,
            Err(nb::Error::Other(_)) => Some(Err(Damaged)),
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        for byte in bytes {
            // Sending does not fail.
            let _ = nb::block!(self.serial.tx.write_u8(*byte));
        }
    }

    /// The chip's temperature sensor, as the converter's raw count, which a fit turns into °C.
    /// It writes the registers itself, because the HAL would wait forever for the converter that
    /// QEMU does not have.
    fn sense(&mut self) -> Option<f32> {
        const SENSOR: u8 = 16;
        /// The sensor starts within 10 µs, a conversion takes 41.
        const PATIENCE: u32 = 2_000;
        let adc = &self.adc;
        adc.cr2().write(|w| w.adon().set_bit().tsvrefe().set_bit());
        cortex_m::asm::delay(PATIENCE);
        adc.smpr1().write(|w| w.smp16().cycles239_5());
        // SAFETY: the sensor's channel is a valid value.
        adc.sqr3().write(|w| unsafe { w.sq1().bits(SENSOR) });
        // Setting `ADON` again while it is set starts a conversion.
        adc.cr2().write(|w| w.adon().set_bit().tsvrefe().set_bit());
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
