variable "IMAGE" {}

variable "ORIGIN" {}

target "default" {
  context           = "${ORIGIN}/app.git#v1.0"
  contexts          = { own = "." }
  dockerfile-inline = "FROM scratch\nCOPY app/hello /\nCOPY --from=own docker-bake.hcl /own"
  tags              = [IMAGE]
}
