//! Shared by the calibrator's boards with a Nordic chip. A feature says which chip.

#![no_std]

use calibrator::Damaged;
use nrf_hal_common::pac::{TEMP, UART0};
use nrf_hal_common::temp::Temp;

#[cfg(not(feature = "nrf51"))]
pub use nrf_hal_common::nvmc;
pub use nrf_hal_common::pac;

/// The plain UART, registers by hand: the HAL's driver for the nRF51 does not
/// tell when bytes were lost, that for the nRF52 receives blocks of a length
/// known beforehand.
pub struct Serial(UART0);

impl Serial {
    /// 115200 8N1 on two pins, numbered as in the chip's `PSEL` registers.
    pub fn new(uart: UART0, txd: u32, rxd: u32) -> Self {
        #[cfg(feature = "nrf51")]
        let (pseltxd, pselrxd) = (&uart.pseltxd, &uart.pselrxd);
        #[cfg(not(feature = "nrf51"))]
        let (pseltxd, pselrxd) = (&uart.psel.txd, &uart.psel.rxd);
        // SAFETY: pins and values that the reference manual has.
        unsafe {
            pseltxd.write(|w| w.bits(txd));
            pselrxd.write(|w| w.bits(rxd));
            uart.baudrate.write(|w| w.baudrate().baud115200());
            uart.enable.write(|w| w.enable().enabled());
            uart.tasks_starttx.write(|w| w.bits(1));
            uart.tasks_startrx.write(|w| w.bits(1));
        }
        Serial(uart)
    }

    /// The next byte, if one has come. An error is one that did not arrive whole, or others
    /// that were lost before it.
    pub fn receive(&mut self) -> Option<Result<u8, Damaged>> {
        let uart = &self.0;
        if uart.events_rxdrdy.read().bits() == 0 {
            return None;
        }
        uart.events_rxdrdy.reset();
        let byte = uart.rxd.read().rxd().bits();
        let errors = uart.errorsrc.read().bits();
        if errors != 0 {
            // SAFETY: writing ones clears the errors that they stand for.
            uart.errorsrc.write(|w| unsafe { w.bits(errors) });
            return Some(Err(Damaged));
        }
        Some(Ok(byte))
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        let uart = &self.0;
        for byte in bytes {
            // SAFETY: any byte can be sent.
            uart.txd.write(|w| unsafe { w.bits(u32::from(*byte)) });
            while uart.events_txdrdy.read().bits() == 0 {}
            uart.events_txdrdy.reset();
        }
    }
}

/// The chip's thermometer.
pub struct Thermometer(Temp);

impl Thermometer {
    /// The chip's thermometer.
    pub fn new(temp: TEMP) -> Self {
        Thermometer(Temp::new(temp))
    }

    /// °C; none if it does not answer: QEMU has no such sensor.
    pub fn read(&mut self) -> Option<f32> {
        const PATIENCE: u32 = 10_000; // 36 µs are usual
        self.0.stop_measurement();
        self.0.start_measurement();
        let mut tries = 0..PATIENCE;
        tries.find_map(|_| Some(self.0.read().ok()?.to_num()))
    }
}
