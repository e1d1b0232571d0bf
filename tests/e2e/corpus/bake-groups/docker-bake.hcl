variable "IMAGE" {}

variable "VERSION" {
  default = "dev"
}

function "tagged" {
  params = [name]
  result = ["${IMAGE}-${name}"]
}

group "default" {
  targets = ["app", "tools"]
}

target "common" {
  args   = { VERSION = VERSION, MODE = "common" }
  labels = { "org.opencontainers.image.version" = VERSION }
}

target "app" {
  inherits = ["common"]
  target   = "app"
  tags     = tagged("app")
}

target "tools" {
  inherits = ["common"]
  target   = "tools"
  args     = { MODE = equal("dev", VERSION) ? "development" : "release" }
  tags     = tagged("tools")
}

target "never" {
  dockerfile-inline = "FROM scratch\nCOPY /absent /"
}
