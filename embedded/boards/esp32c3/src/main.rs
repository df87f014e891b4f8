//! The calibrator on the ESP32-C3, rv32imc, 400 KiB RAM. The serial line is in its USB socket.

#![no_std]
#![no_main]

use core::ops::Range;

use calibrator::{Board, Calibrator, Damaged, FLOATS, Memory, Ram};
use esp_hal::Blocking;
use esp_hal::time::Instant;
use esp_hal::tsens::{Config, TemperatureSensor};
use esp_hal::usb::usb_serial_jtag::UsbSerialJtag;
use esp_storage::FlashStorage;

esp_bootloader_esp_idf::esp_app_desc!();

const SAMPLES: usize = 512;

#[esp_hal::main]
fn main() -> ! {
    let chip = esp_hal::init(esp_hal::Config::default());
    let board = Esp32c3 {
        serial: UsbSerialJtag::new(chip.USB_DEVICE),
        flash: FlashStorage::new(chip.FLASH),
        sensor: TemperatureSensor::new(chip.TSENS, Config::default()).ok(),
    };
    let mut memory = Memory::<SAMPLES, FLOATS>::new();
    Calibrator::new(board, &mut memory).run()
}

/// Resets the board, as a driver that panics leaves nothing to go on with. The saved calibration
/// is still there afterwards.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    esp_hal::system::software_reset()
}

struct Esp32c3 {
    serial: UsbSerialJtag<'static, Blocking>,
    flash: FlashStorage<'static>,
    sensor: Option<TemperatureSensor<'static>>,
}

impl Board for Esp32c3 {
    const NAME: &'static str = "ESP32-C3";
    /// The partition `nvs` of espflash's default table, which nothing else uses.
    const PAGES: Range<u32> = 0x9000..0xf000;
    type Flash = FlashStorage<'static>;

    fn flash(&mut self) -> &mut FlashStorage<'static> {
        &mut self.flash
    }

    fn receive(&mut self) -> Option<Result<u8, Damaged>> {
        match self.serial.read_byte() {
            Ok(byte) => Some(Ok(byte)),
            Err(nb::Error::WouldBlock) => None,
            Err(nb::Error::Other(_)) => Some(Err(Damaged)),
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        // An error means that no computer listens, and is ignored.
        let _ = self.serial.write(bytes);
    }

    /// The chip's temperature in °C, roughly.
    fn sense(&mut self) -> Option<f32> {
        Some(self.sensor.as_ref()?.get_temperature().to_celsius())
    }

    fn ticks(&mut self) -> (u64, &'static str) {
        (Instant::now().duration_since_epoch().as_micros(), "µs")
    }

    fn ram(&self) -> Option<Ram> {
        None
    }
}
