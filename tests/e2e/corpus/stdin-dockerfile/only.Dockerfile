FROM busybox:1.35.0
RUN echo "no context" > /said
