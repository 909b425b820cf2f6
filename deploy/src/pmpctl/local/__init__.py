"""The whole pipeline as plain processes on one machine, on emulators."""
