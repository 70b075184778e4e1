#!/usr/bin/env bash
# Makes the base files of the audio corpus. Requires ffmpeg (5.1), sox (14.4) and lame (3.100), the versions of Debian 12.
# Usage: tests/corpus/make.sh, then: node --import tsx tests/corpus/expect.ts
set -euo pipefail
cd "$(dirname "$0")"
source=../../testing/simulator/recordings/voicemail-pcm.wav
rm -rf base && mkdir base
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ff() { ffmpeg -nostdin -v error -y "$@"; }
ff -ss 1 -t 2 -i "$source" "$work/speech.wav"
ff -ss 1 -t 1 -i "$source" "$work/short.wav"

# MP3 of all versions: MPEG 2.5 (8, 11.025, 12 kHz), 2 (16, 22.05, 24) and 1 (32, 44.1, 48); with and without a Xing or Info header.
for rate in 8000 11025 12000 16000 22050 24000 32000 44100 48000; do
  ff -i "$work/speech.wav" -ar $rate -b:a 32k -write_xing 0 -id3v2_version 0 base/mono-$rate.mp3
done
ff -i "$work/speech.wav" -ar 8000 -b:a 16k base/info-8000.mp3
ff -i "$work/speech.wav" -ar 16000 -ac 2 -b:a 32k -id3v2_version 0 base/info-stereo-16000.mp3
ff -i "$work/speech.wav" -ar 44100 -ac 2 -b:a 48k -write_xing 0 -id3v2_version 0 base/stereo-44100.mp3
lame --quiet -b 16 -t "$work/speech.wav" base/lame-plain.mp3
lame --quiet -b 32 "$work/speech.wav" base/lame-info.mp3
lame --quiet -V 5 "$work/speech.wav" base/lame-vbr.mp3
lame --quiet --abr 24 "$work/speech.wav" base/lame-abr.mp3
lame --quiet -b 32 -p "$work/speech.wav" base/lame-crc.mp3
lame --quiet -b 16 -p -t "$work/speech.wav" base/lame-crc-plain.mp3
lame --quiet --resample 32 -b 100 --freeformat -t "$work/short.wav" base/free-32000.mp3
lame --quiet --resample 16 -b 50 --freeformat "$work/short.wav" base/free-16000.mp3
lame --quiet -b 32 --resample 44.1 "$work/short.wav" base/lame-44100.mp3
ff -i "$work/short.wav" -ar 16000 -b:a 32k base/layer2.mp2

# A tone in each channel: the left one in the first second, the right one in the second. Only for waveform peaks.
ff -f lavfi -i "aevalsrc='0.8*sin(2*PI*1000*t)*lt(t,1)|0.4*sin(2*PI*440*t)*gte(t,1)':s=32000:d=2" "$work/tones.wav"
lame --quiet -m s -b 128 "$work/tones.wav" base/tones.mp3

# WAV
for codec in pcm_s16le pcm_u8 pcm_s24le pcm_alaw pcm_mulaw; do
  ff -i "$work/short.wav" -c:a $codec -bitexact base/$codec.wav
done
ff -i "$work/short.wav" -c:a pcm_mulaw -ac 2 base/mulaw-stereo.wav
ff -i "$work/short.wav" -ar 16000 -ac 2 base/pcm-stereo-16000.wav
ff -i "$work/short.wav" -rf64 always base/rf64.wav
ffmpeg -nostdin -v error -i "$work/short.wav" -f wav - | cat > base/piped-ffmpeg.wav
sox "$work/short.wav" -t wav - | cat > base/piped-sox.wav
sox "$work/short.wav" -b 24 base/extensible-24.wav
sox "$work/short.wav" -c 2 -e a-law base/alaw-stereo.wav
sox "$work/short.wav" -e floating-point base/float.wav
sox "$work/short.wav" -e gsm-full-rate base/gsm.wav
ff -i "$work/short.wav" -c:a adpcm_ima_wav base/adpcm.wav
ff -i base/mono-8000.mp3 -c copy base/mp3-in.wav

# Other containers, some of which contain MP3 frames
for kind in mp4 mkv avi mpegts ogg flac m4a aiff au w64 caf mka; do
  case $kind in
    mp4 | mkv | mka | avi) ff -i base/mono-44100.mp3 -c copy base/other.$kind ;;
    mpegts) ff -i base/mono-44100.mp3 -c copy -f mpegts base/other.mpegts ;;
    ogg) ff -i "$work/short.wav" -ar 16000 -c:a libvorbis base/other.ogg ;;
    m4a) ff -i "$work/short.wav" -ar 16000 -b:a 16k -c:a aac base/other.m4a ;;
    *) ff -i "$work/short.wav" base/other.$kind ;;
  esac
done
ff -i "$work/short.wav" -ar 16000 -b:a 16k -c:a aac -f adts base/other.aac
du -sh base
