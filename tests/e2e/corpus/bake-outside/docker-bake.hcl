target "default" {
  context = "/etc"
  dockerfile-inline = "FROM scratch\nCOPY hostname /"
}
