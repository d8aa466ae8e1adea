module github.com/proa-dev/proa/test/bench

go 1.26.0


