package http2

import (
	"encoding/binary"
	"fmt"
)

// The types of frames, RFC 9113 section 6.
const (
	frameData byte = iota
	frameHeaders
	framePriority
	frameReset
	frameSettings
	framePushPromise
	framePing
	frameGoAway
	frameWindowUpdate
	frameContinuation
)

// The flags of frames.
const (
	flagAck        = 0x1 // of SETTINGS and PING
	flagEndStream  = 0x1 // of DATA and HEADERS
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// The settings, RFC 9113 section 6.5.2.
const (
	settingHeaderTableSize uint16 = iota + 1
	settingEnablePush
	settingMaxStreams
	settingInitialWindow
	settingMaxFrame
	settingMaxHeaderList
)

// Sizes that the protocol fixes.
const (
	frameHeaderSize   = 9
	defaultWindow     = 65535
	defaultMaxFrame   = 16 << 10
	largestFrame      = 1<<24 - 1
	largestWindow     = 1<<31 - 1
	largestStream     = 1<<31 - 1
	defaultTableSize  = 4096
	preface           = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	settingSize       = 6
	priorityFieldSize = 5
)

// errorCode is why a stream or a connection ended, RFC 9113 section 7.
type errorCode uint32

const (
	codeNone errorCode = iota
	codeProtocol
	codeInternal
	codeFlowControl
	codeSettingsTimeout
	codeStreamClosed
	codeFrameSize
	codeRefusedStream
	codeCancel
	codeCompression
	codeConnect
	codeEnhanceYourCalm
	codeInadequateSecurity
)

// connError ends a connection.
type connError struct {
	code   errorCode
	reason string
}

func (e connError) Error() string { return fmt.Sprintf("http2: code %d: %s", e.code, e.reason) }

// streamError ends a stream.
type streamError struct {
	id   uint32
	code errorCode
}

func (e streamError) Error() string { return fmt.Sprintf("http2: stream %d: code %d", e.id, e.code) }

// frameHeader is what every frame begins with.
type frameHeader struct {
	length int
	kind   byte
	flags  byte
	stream uint32
}

func (h frameHeader) has(flag byte) bool { return h.flags&flag != 0 }

func parseFrameHeader(b []byte) frameHeader {
	return frameHeader{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]), kind: b[3], flags: b[4],
		stream: binary.BigEndian.Uint32(b[5:]) & largestStream,
	}
}

func appendFrameHeader(b []byte, length int, kind, flags byte, stream uint32) []byte {
	b = append(b, byte(length>>16), byte(length>>8), byte(length), kind, flags)
	return binary.BigEndian.AppendUint32(b, stream)
}

func appendReset(b []byte, stream uint32, code errorCode) []byte {
	b = appendFrameHeader(b, 4, frameReset, 0, stream)
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

func appendWindowUpdate(b []byte, stream uint32, n int) []byte {
	b = appendFrameHeader(b, 4, frameWindowUpdate, 0, stream)
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

func appendGoAway(b []byte, last uint32, code errorCode, reason string) []byte {
	b = appendFrameHeader(b, 8+len(reason), frameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	return append(b, reason...)
}

// setting is one of a SETTINGS frame.
type setting struct {
	id    uint16
	value uint32
}

func appendSettings(b []byte, all ...setting) []byte {
	b = appendFrameHeader(b, settingSize*len(all), frameSettings, 0, 0)
	for _, s := range all {
		b = binary.BigEndian.AppendUint16(b, s.id)
		b = binary.BigEndian.AppendUint32(b, s.value)
	}
	return b
}
