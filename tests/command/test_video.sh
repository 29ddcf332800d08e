#!/bin/sh
# SPDX-License-Identifier: MIT
# test_video.sh CASE - `limber run` of videos, from outside. The clips are made here: FFmpeg moves one of data/samples about.
# Every function test_CASE below is one test of ctest's; shell.sh says how they are run.
set -eu
tiny=$LIMBER_TEST_DIR/golden/simple-hd32 # two blocks of random weights: quick, and not the default model
three=$LIMBER_TEST_DIR/../data/samples/three.jpg
portrait=$LIMBER_TEST_DIR/../data/samples/waving.jpg
. "$LIMBER_TEST_DIR/shell.sh"

command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null || skip "no ffmpeg here"
[ -f "$BUILD_DIR/liblimber_video.so" ] || skip "the video plugin was not built"
ffmpeg() { command ffmpeg -v error -nostdin -y "$@" || fail "ffmpeg $*"; }
encoder() { command ffmpeg -v quiet -encoders | grep -q " $1 " || skip "ffmpeg has no $1"; }
run() { "$LIMBER" run --model "$tiny" --whole --refine 0 --quiet "$@"; }
# film FRAMES FILE OPTION...: three people, ten frames a second, the camera sways
film() {
    frames=$1 file=$2
    shift 2
    ffmpeg -loop 1 -i "$three" -f lavfi -i sine=440 -vf "crop=592:440:x='24+20*sin(n/4)':y='20+10*sin(n/3)',fps=10,setpts=N/10/TB" \
        -frames:v "$frames" -t "$((frames / 10)).$((frames % 10))" -pix_fmt yuv420p -r 10 "$@" "$file"
}
h264() { echo -c:v libx264 -preset veryfast -bf 2 -g 8 -c:a aac; }
# What ffprobe says of each frame against the lines in `out`.
like_ffprobe() {
    ffprobe -v quiet -select_streams v:0 -show_entries frame=best_effort_timestamp_time,width,height -of csv=p=0 "$1" |
        grep -E '^(N/A|-?[0-9])' | awk -F, '{ print NR - 1, $1 == "N/A" ? "N/A" : $1 + 0 }' >expected
    sed 's/.*"frame":\([0-9]*\),"time":\([0-9.e-]*\),.*/\1 \2/' out >got
    lines "$(wc -l <expected)" got
    paste -d' ' expected got | awk -v name="$1" '
        $1 != $3 || ($2 != "N/A" && ($2 - $4 > 2e-6 || $4 - $2 > 2e-6)) { print name ": ffprobe " $1, $2 ", limber " $3, $4; bad = 1 }
        NR > 1 && $4 <= last { print name ": " $4 " after " last; bad = 1 }
        { last = $4 }
        END { exit bad || NR < 5 }' || fail "$1: frames or times are not ffprobe's"
}

test_frames_and_times_are_those_of_ffprobe() {
    encoder libx264
    # shellcheck disable=SC2046
    film 24 clip.mp4 $(h264)
    ffmpeg -i clip.mp4 -c copy clip.ts
    ffmpeg -i clip.mp4 -an -c:v copy raw.h264               # no times at all
    ffmpeg -ss 1.1 -i clip.mp4 -c copy edited.mp4           # an edit list: frames before it are decoded, not shown
    ffmpeg -i clip.mp4 -an -vf "select='not(mod(n,3))+eq(mod(n,7),1)'" -vsync vfr -c:v libx264 -bf 3 varied.mkv
    ffmpeg -i clip.mp4 -an -c:v mpeg4 -bf 2 clip.avi        # a frame without a time
    ffmpeg -i clip.mp4 -an -c:v mjpeg -pix_fmt yuvj422p clip.mov
    for clip in clip.mp4 clip.ts raw.h264 edited.mp4 varied.mkv clip.avi clip.mov; do
        status 0 run "$clip"
        like_ffprobe "$clip"
    done
    [ "$(wc -l <expected)" -eq 24 ] || fail "frames were lost"
    status 0 run --video - <clip.ts
    lines 24 out
    has out '{"video":"-","frame":0,'
}

# The size, and where the nose of the first line is.
nose() { sed -n '1s/.*"width":\([0-9]*\),"height":\([0-9]*\),.*"nose":\[\([0-9.]*\),\([0-9.]*\),.*/\1 \2 \3 \4/p' out; }
test_turned_clips_are_upright() {
    encoder libx264
    ffmpeg -loop 1 -i "$portrait" -frames:v 1 -pix_fmt yuv420p -c:v libx264 -qp 4 upright.mp4
    status 0 "$LIMBER" run --whole --quiet upright.mp4
    nose >want
    # as a phone holds it: the pixels lie on their side, and the container says so
    for turn in 90:transpose=1 180:hflip,vflip 270:transpose=2; do
        ffmpeg -loop 1 -i "$portrait" -frames:v 1 -vf "${turn#*:}" -pix_fmt yuv420p -c:v libx264 -qp 4 lying.mp4
        ffmpeg -i lying.mp4 -c copy -metadata:s:v rotate="${turn%%:*}" turned.mp4
        ffprobe -v quiet -show_entries stream_side_data=rotation -of csv=p=0 turned.mp4 | grep -q '[0-9]' || skip "this ffmpeg writes no rotation"
        status 0 "$LIMBER" run --whole --quiet turned.mp4
        nose >got
        paste -d' ' want got | awk '{ dx = $3 - $7; dy = $4 - $8; exit !(NF == 8 && $1 == $5 && $2 == $6 && dx * dx + dy * dy < 16) }' ||
            fail "turned by ${turn%%:*}: $(cat want) became $(cat got)"
    done
}

test_cut_clips_are_told() {
    encoder libx264
    # shellcheck disable=SC2046
    film 24 whole.mp4 $(h264) -movflags faststart
    ffmpeg -i whole.mp4 -c copy whole.mkv
    ffmpeg -i whole.mp4 -c copy whole.ts
    for kind in mp4 mkv ts; do
        size=$(wc -c <whole.$kind)
        head -c $((size * 6 / 10)) whole.$kind >cut.$kind
        rm -rf r
        status 1 run cut.$kind --out r --overlay
        [ -s err ] || fail "cut.$kind: nothing was said"
        tail -c 1 r/poses.jsonl | od -c | grep -q '\\n' || fail "cut.$kind: half a line"
        n=$(wc -l <r/poses.jsonl)
        [ "$n" -gt 5 ] && [ "$n" -lt 25 ] || fail "cut.$kind: $n lines"
        has r/poses.jsonl '"error":'
        ffprobe -v error -count_frames -select_streams v -show_entries stream=nb_read_frames -of csv=p=0 r/overlay/cut.* >out
        [ "$(cat out)" -gt 5 ] || fail "cut.$kind: the overlay does not play"
    done
    head -c 3000 whole.mkv >none.mkv
    ffmpeg -i whole.mp4 -vn -c copy sound.mp4
    status 1 run sound.mp4 none.mkv nowhere.mp4 whole.ts
    says "no video in it"
    says "nowhere.mp4: No such file"
    [ "$(grep -c '"error"' out)" -ge 3 ] || fail "a line for each that cannot be opened"
    [ "$(grep -c 'whole.ts' out)" -eq 24 ] || fail "the others go on"
}

test_resume() {
    encoder libx264
    # shellcheck disable=SC2046
    film 20 a.mp4 $(h264)
    ffmpeg -i a.mp4 -an -c:v mpeg4 b.avi
    status 0 run a.mp4 b.avi --every 2 --out all
    lines 20 all/poses.jsonl
    for kept in 3 10 14 20; do
        rm -rf some && cp -r all some
        head -n $kept all/poses.jsonl >some/poses.jsonl
        printf '{"video":"b.avi","fra' >>some/poses.jsonl # torn by a kill
        status 0 run a.mp4 b.avi --every 2 --out some --resume
        same all/poses.jsonl some/poses.jsonl
    done
    has some/run.json '"resumed": 20'
    status 2 run a.mp4 b.avi --every 3 --out some --resume
    says '"every": 2'
    status 2 run a.mp4 b.avi --every 2 --track --out some --resume
    says "--resume"
    same all/poses.jsonl some/poses.jsonl
    status 0 run a.mp4 --from 0.5 --to 1.1
    lines 6 out
    has out '"frame":5,"time":0.5,'
    status 2 run a.mp4 --from 1:00 --to 0:59.5
    status 2 run a.mp4 --to 1:x
    says "1:x"
}

# A stopped run: an endless film on standard input, and a signal once some lines are there.
test_stop_leaves_a_film_that_plays() {
    encoder libx264
    # shellcheck disable=SC2046
    film 20 a.ts $(h264)
    mkfifo film
    (while cat a.ts; do sleep 0.05; done >film 2>/dev/null) &
    feeder=$!
    "$LIMBER" run --model "$tiny" --whole --quiet --video - --overlay --track --out r <film 2>err &
    limber=$!
    i=0
    while [ ! -f r/poses.jsonl ] || [ "$(wc -l <r/poses.jsonl)" -lt 5 ]; do
        sleep 0.1
        i=$((i + 1))
        [ $i -lt 900 ] || fail "no lines"
    done
    kill -INT $limber
    got=0
    wait $limber || got=$?
    kill $feeder 2>/dev/null || true
    [ $got = 130 ] || fail "status $got"
    tail -c 1 r/poses.jsonl | od -c | grep -q '\\n' || fail "half a line"
    n=$(ffprobe -v error -count_frames -select_streams v -show_entries stream=nb_read_frames -of csv=p=0 r/overlay/stdin.mp4)
    [ "$n" -eq "$(wc -l <r/poses.jsonl)" ] || fail "$n frames in the film, $(wc -l <r/poses.jsonl) lines"
    has r/run.json '"complete": false'
    [ "$(ls r/overlay)" = stdin.mp4 ] || fail "beside the film: $(ls r/overlay)"
}

ids() { sed 's/"track"/\n"track"/g' "$1" | sed -n 's/^"track":\([0-9]*\),.*/\1/p' | sort -n | uniq -c | awk '{ print $2 ":" $1 }' | tr '\n' ' '; }
test_three_people_keep_their_numbers() {
    encoder libx264
    # shellcheck disable=SC2046
    film 16 clip.mp4 $(h264)
    status 0 "$LIMBER" run --quiet clip.mp4 --out r --track --smooth --overlay
    lines 16 r/poses.jsonl
    [ "$(ids r/poses.jsonl)" = "1:16 2:16 3:16 " ] || fail "tracks: $(ids r/poses.jsonl)"
    ffprobe -v error -count_frames -show_entries stream=codec_name,width,nb_read_frames -of csv=p=0 r/overlay/clip.mp4 >out
    has out "h264,592,16"
    has out "aac,"
    # what plays videos has no more than pictures' decoders have
    if grep -q '"sandbox": "Landlock' r/run.json; then
        status 0 "$LIMBER" run --quiet clip.mp4 --to 0.15 --sandbox --overlay --out boxed
        lines 2 boxed/poses.jsonl
    fi
    status 2 "$LIMBER" run --quiet tcp://127.0.0.1:1 --sandbox
    says "--sandbox"
    # followed between: numbers stay, and most frames are never looked at
    status 0 "$LIMBER" run --quiet clip.mp4 --out d --detect-every 8 --side-by-side --overlay-codec mpeg4
    [ "$(ids d/poses.jsonl)" = "1:16 2:16 3:16 " ] || fail "tracks: $(ids d/poses.jsonl)"
    ffprobe -v error -count_frames -show_entries stream=codec_name,width,nb_read_frames -of csv=p=0 d/overlay/clip.mp4 >out
    has out "mpeg4,1184,16"
    # the same again, whatever the batch
    "$LIMBER" run --quiet clip.mp4 --track --smooth --batch 1 --threads 1 >one
    same one r/poses.jsonl
    # without tracks nobody has a number
    "$LIMBER" run --quiet clip.mp4 --to 0.25 >out
    lines 3 out
    ! grep -q '"track"' out || fail "numbers without --track"
}

# What other commands make of a video's lines: they are right, or are refused.
test_lines_of_videos_elsewhere() {
    encoder libx264
    mkdir films
    # shellcheck disable=SC2046
    film 6 films/a.mp4 $(h264)
    ffmpeg -i films/a.mp4 -an -c:v mpeg4 films/b.avi
    head -c 3000 films/a.mp4 >films/cut.mp4
    status 1 run films/a.mp4 films/b.avi films/cut.mp4 --track --every 2 --out r
    status 0 "$LIMBER" export --to csv r --out all.csv
    says "6 frames, 6 people"
    says "1 line that failed left out"
    lines $((1 + 6 * 17)) all.csv
    [ "$(head -1 all.csv)" = "$(printf 'video,frame,time,person,track,joint,x,y,score,person_score\r')" ] || fail "$(head -1 all.csv)"
    # the second joint of the last frame, against its line
    sed -n 6p r/poses.jsonl | sed 's/.*"left_eye":\[\([^]]*\)\].*/films\/b.avi,4,0.4,0,1,left_eye,\1/' >want
    sed -n '$p' all.csv | grep -q '^films/b.avi,4,0.4,0,1,right_ankle,' || fail "$(tail -1 all.csv)"
    grep -qF "$(cat want)" all.csv || fail "no $(cat want)"
    run films/a.mp4 --out untracked && status 0 "$LIMBER" export --to csv untracked
    grep -q '^films/a.mp4,5,0.5,0,,nose,' out || fail "an empty track"
    status 0 "$LIMBER" export --to openpose r --out poses
    [ "$(cd poses && find . -type f | sort | tr '\n' ' ')" = "./a_000000000000_keypoints.json ./a_000000000002_keypoints.json ./a_000000000004_keypoints.json \
./b_000000000000_keypoints.json ./b_000000000002_keypoints.json ./b_000000000004_keypoints.json " ] || fail "$(cd poses && find . -type f | sort)"
    has poses/b_000000000004_keypoints.json '"person_id":[1],"pose_keypoints_2d":['
    for form in coco ultralytics cvat labelstudio; do
        status 2 "$LIMBER" export --to $form r --out none
        says "line 1: is of a video, and this form is for pictures: openpose and csv take videos"
        [ ! -e none ] || fail "$form: something was written"
    done
    "$LIMBER" run --model "$tiny" --whole --quiet "$three" >>r/poses.jsonl
    status 2 "$LIMBER" export --to csv r
    says "line 8: is of a picture, those before are of videos"
    status 2 "$LIMBER" merge untracked --out all
    says "untracked: is of videos, which --shard does not cut"
    [ ! -e all ] || fail "something was merged"
    status 2 "$LIMBER" run --model "$tiny" --quiet "$three" --boxes untracked/poses.jsonl
    says "video"
    status 2 run "$three" --resume --out untracked
    says "untracked"
    status 2 run "$three" --overlay-codec h264 --overlay --out new
    says "--overlay-codec is for videos"
    lines 6 untracked/poses.jsonl
}

# Folders and lists, as pictures have them; what is in no video's name is left out and counted.
test_folders_and_lists_of_videos() {
    encoder libx264
    mkdir -p films/deep r/overlay
    # shellcheck disable=SC2046
    film 3 films/b.mp4 $(h264)
    cp films/b.mp4 films/deep/a.mkv
    cp films/b.mp4 r/overlay/old.mp4
    cp "$three" films/photo.jpg
    : >films/.hidden.mp4
    status 0 "$LIMBER" run --model "$tiny" --whole --track films r --out r --overlay
    says "videos 2, frames 6"
    says "left out in folders: 1 picture, 1 hidden name"
    [ "$(sed 's/.*"video":"\([^"]*\)".*/\1/' r/poses.jsonl | uniq | tr '\n' ' ')" = "films/b.mp4 films/deep/a.mkv " ] || fail "$(cut -c1-60 r/poses.jsonl)"
    [ -f r/overlay/films/b.mp4 ] && [ -f r/overlay/films/deep/a.mkv.mp4 ] || fail "$(find r -type f)"
    has r/run.json '"pictures": 1'
    ! grep -q '"sandbox": "none: No such' r/run.json || fail "$(grep sandbox r/run.json)"
    printf 'films/deep/a.mkv\n-\nfilms/b.mp4\n' >list
    status 0 run @list films/b.mp4 --every 3 <films/deep/a.mkv # each once
    [ "$(sed 's/.*"video":"\([^"]*\)".*/\1/' out | tr '\n' ' ')" = "films/deep/a.mkv - films/b.mp4 " ] || fail "$(cut -c1-60 out)"
    status 2 run films/deep
    says "no pictures in films/deep: left out 1 video; \`limber run --video\` takes videos"
    mkdir empty
    status 2 run --video empty
    says "no videos in empty"
    status 2 run --track
    says "no input"
}

test_live() {
    encoder mpeg2video
    # a source that is faster than the network: frames are left out, and those that come are in order
    film 40 a.ts -an -c:v mpeg2video
    status 0 "$LIMBER" run --video - --live --whole <a.ts
    says "frames left out"
    sed 's/.*"frame":\([0-9]*\),.*/\1/' out | awk 'NR > 1 && $1 <= last { exit 1 } { last = $1 } END { exit NR < 1 }' || fail "order"
    n=$(wc -l <out)
    left=$(sed -n 's/.* \([0-9]*\) frames left out.*/\1/p' err)
    [ $((n + left)) -eq 40 ] || fail "$n lines and $left left out are not 40"
}

test_the_plugin_is_apart() {
    ! ldd "$LIMBER" | grep -E 'libav(format|codec|util)|libsw' || fail "the command needs FFmpeg"
    : >x.mp4
    status 2 env LIMBER_VIDEO_PLUGIN=/nowhere.so "$LIMBER" run x.mp4
    says "/nowhere.so"
    cp "$LIMBER" ./limber # with nothing beside it
    mkdir bin lib && mv limber bin && cp "$LIBRARY" lib/liblimber.so.0
    status 2 env LD_LIBRARY_PATH="$work/lib" sh -c 'cd / && exec "$0"/bin/limber run "$0"/x.mp4' "$work"
    says "limber-video"
    status 2 env LIMBER_VIDEO_PLUGIN="$LIBRARY" "$LIMBER" run x.mp4
    says "another limber"
    status 1 "$LIMBER" run --quiet rtsp://me:secret@127.0.0.1:1/door
    ! grep -q secret out err || fail "a password was written"
    has out '"video":"rtsp://127.0.0.1:1/door"'
    for pair in "--boxes x" "--coco --out r" "--heads --out r" "--shard 1/2" "--decoder stb" "--overlay=png --out r" "--overlay-size 99 --out r"; do
        # shellcheck disable=SC2086
        status 2 "$LIMBER" run x.mp4 $pair
        says "is for pictures"
    done
}

"test_$1"
