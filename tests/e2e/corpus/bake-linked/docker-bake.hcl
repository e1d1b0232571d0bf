variable "IMAGE" {}

target "base" {
  dockerfile-inline = <<END
FROM busybox:1.35.0
RUN echo "from the base" > /base
END
}

target "default" {
  contexts = { base = "target:base", assets = "./assets" }
  tags     = [IMAGE]
  output   = ["type=image,push=true"]
}
