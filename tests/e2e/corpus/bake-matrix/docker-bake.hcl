variable "IMAGE" {}

target "default" {
  name       = "app-${flavour}-${replace(version, ".", "-")}"
  matrix     = { flavour = ["plain", "debug"], version = ["1.0", "2.0"] }
  args       = { FLAVOUR = flavour, VERSION = version }
  tags       = ["${IMAGE}-${flavour}-${version}"]
  output     = ["type=registry"]
}
