package apiserver

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
)

const flagsPath = "/debug/flags"

// flagsPage lists the flags that can be set while the server runs.
const flagsPage = `<html>
<head>
<title>/debug/flags/</title>
</head>
<body>
/debug/flags/<br>
<br>
flags:<br>
<table>
<tr>v<br>
</table>
<br>
full flags configurable<br>
</body>
</html>
`

// maxFlag bounds what is read as a flag's value.
const maxFlag = 1 << 10

// addFlags connects the one flag that can be set while the server runs: how much is logged.
func (s *Server) addFlags(setVerbosity func(int)) {
	if setVerbosity == nil {
		return
	}
	index := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, flagsPage) })
	s.Handle(flagsPath, index)
	s.Handle(flagsPath+"/", index)
	s.Handle(flagsPath+"/v", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, text := putVerbosity(r, setVerbosity)
		w.Header().Set("Content-Type", mediaText)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(code)
		io.WriteString(w, text)
	}))
}

func putVerbosity(r *http.Request, set func(int)) (code int, text string) {
	if r.Method != http.MethodPut {
		return http.StatusNotAcceptable, "unsupported http method"
	}
	value, err := io.ReadAll(io.LimitReader(r.Body, maxFlag))
	if err != nil {
		return http.StatusBadRequest, "error reading request body: " + err.Error()
	}
	if _, err := strconv.ParseUint(string(value), 10, 32); err != nil {
		return http.StatusBadRequest, err.Error()
	}
	v, err := strconv.ParseInt(string(value), 10, 32)
	if err != nil {
		return http.StatusBadRequest, fmt.Sprintf("failed set klog.logging.verbosity %s: %v", value, err)
	}
	set(int(v))
	return http.StatusOK, fmt.Sprintf("successfully set klog.logging.verbosity to %s", value)
}
