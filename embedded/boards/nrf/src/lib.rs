//! Code that the calibrator's boards with a Nordic chip share. A feature selects the chip.

#![no_std]

use calibrator::Damaged;
use nrf_hal_common::pac::{TEMP, UART0};
use nrf_hal_common::temp::Temp;

#[cfg(not(feature = "nrf51"))]
pub use nrf_hal_common::nvmc;
pub use nrf_hal_common::pac;

/// A driver of the UART without DMA. The HAL's driver for the nRF51 does not report lost bytes,
/// and its driver for the nRF52 receives only blocks of a length known beforehand.
pub struct Serial(UART0);

impl Serial {
    /// Sets up 115200 8N1 on two pins, numbered as in the chip's `PSEL` registers.
    pub fn new(uart: UART0, txd: u32, rxd: u32) -> Self {
        #[cfg(feature = "nrf51")]
        let (pseltxd, pselrxd) = (&uart.pseltxd, &uart.pselrxd);
        #[cfg(not(feature = "nrf51"))]
        let (pseltxd, pselrxd) = (&uart.psel.txd, &uart.psel.rxd);
        // SAFETY: the reference manual allows these values.
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

    /// Returns the next byte, if one has come. [`Damaged`] stands for a byte with a framing or
    /// parity error, or after which others were lost.
    pub fn receive(&mut self) -> Option<Result<u8, Damaged>> {
        let uart = &self.0;
        if uart.events_rxdrdy.read().bits() == 0 {
            return None;
        }
        uart.events_rxdrdy.reset();
        let byte = uart.rxd.read().rxd().bits();
        let errors = uart.errorsrc.read().bits();
        if errors != 0 {
            // SAFETY: writing ones clears these errors.
            uart.errorsrc.write(|w| unsafe { w.bits(errors) });
            return Some(Err(Damaged));
        }
        Some(Ok(byte))
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        let uart = &self.0;
        for byte in bytes {
            // SAFETY: the register takes any byte.
            uart.txd.write(|w| unsafe { w.bits(u32::from(*byte)) });
            while uart.events_txdrdy.read().bits() == 0 {}
            uart.events_txdrdy.reset();
        }
    }
}

/// The chip's thermometer.
pub struct Thermometer(Temp);

impl Thermometer {
    /// Takes over the peripheral.
    pub fn new(temp: TEMP) -> Self {
        Thermometer(Temp::new(temp))
    }

    /// Returns the temperature in °C, or `None` if the sensor does not answer, as under QEMU.
    pub fn read(&mut self) -> Option<f32> {
        const PATIENCE: u32 = 10_000; // A measurement usually takes 36 µs.
        self.0.stop_measurement();
        self.0.start_measurement();
        let mut tries = 0..PATIENCE;
        tries.find_map(|_| Some(self.0.read().ok()?.to_num()))
    }
}
